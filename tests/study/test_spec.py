"""Study files: profiles, settings, and mistakes that are named before anything runs."""

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nitido.base.number_text import number_text
from nitido.base.validation import ConfigError
from nitido.study.plan import plan, single_run
from nitido.study.resolve import resolve, resolve_with_notes
from nitido.study.spec import StudyError, builtin_names, dump, load_resolved, load_study_file, merge

SMALL = {
    "study": "small",
    "question": "does it help?",
    "architecture": "srcnn",
    "scale": 2,
    "baseline": "plain",
    "variants": [
        {"name": "plain", "variant": "debug"},
        {"name": "gelu", "variant": "debug", "config": {"activation": "gelu"}, "hyperparameters": {"batch": 2}},
    ],
    "profiles": {
        "demo": {
            "data": {"train": ["samples"], "validation": ["samples"], "test": ["samples"]},
            "learning_rates": [1e-3, 2e-3],
            "seeds": [0, 1],
            "hyperparameters": {"epochs": 1, "batch": 4, "patch": 8},
        }
    },
}


@pytest.fixture
def study_file(tmp_path: Path):
    def write(**changes: object) -> str:
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(SMALL | changes))
        return str(path)

    return write


def test_every_builtin_study_resolves_in_every_profile() -> None:
    assert "srcnn" in builtin_names()
    for name in builtin_names():
        study = load_study_file(name)
        assert {"demo", "classic", "paper"} <= set(study.profiles)
        for profile in study.profiles:
            runs = plan(resolve(study, profile))
            assert len({run.directory for run in runs}) == len(runs) >= len(study.variants)


def test_a_plan_is_the_product_of_variants_rates_and_seeds(study_file) -> None:
    runs = plan(resolve(load_study_file(study_file()), "demo"))
    assert len(runs) == 2 * 2 * 2
    assert runs[1].directory == Path("runs/plain/lr=0.001/seed=1")
    gelu = runs[-1].config
    assert gelu.config["activation"] == "gelu"
    assert (gelu.hyperparameters.learning_rate, gelu.hyperparameters.seed, gelu.hyperparameters.batch) == (2e-3, 1, 2)
    assert runs[0].config.hyperparameters.batch == 4


def test_settings_change_what_they_name(study_file) -> None:
    settings = ["seeds=5", "steps=60", "data.test=set5,set14", "learning_rates=1e-4", "variants=gelu", "loss.l2=0.5"]
    study = resolve(load_study_file(study_file()), "demo", settings)
    assert study.seeds == (5,)
    assert (study.hyperparameters.steps, study.hyperparameters.epochs) == (60, None)
    assert study.data.test == ("set5", "set14")
    assert study.data.train == ("samples",)
    assert study.learning_rates == (1e-4,)
    assert [variant.name for variant in study.variants] == ["gelu"]
    assert study.baseline == "gelu"
    assert study.hyperparameters.loss == {"l2": 0.5}


def test_a_resolved_study_survives_its_file(study_file, tmp_path: Path) -> None:
    study = resolve(load_study_file(study_file()), "demo", ["seeds=3,4"])
    (tmp_path / "study.yaml").write_text(dump(study))
    assert load_resolved(tmp_path) == study
    assert "learning_rate:" not in (tmp_path / "study.yaml").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["sedes=1"], "unknown key 'sedes': did you mean 'seeds'"),
        (["data.tets=set5"], "unknown key 'data.tets': did you mean 'data.test'"),
        (["learning_rates=-1"], "learning_rates.*greater than 0"),
        (["learning_rates=nan"], "learning_rates"),
        (["variants=geelu"], "unknown variant 'geelu': did you mean 'gelu'"),
        (["steps=none"], "steps"),
        (["steps"], "expected KEY=VALUE"),
        (["seeds=1,1"], "seed 1 is listed twice"),
        (["patch=0"], "patch"),
    ],
)
def test_wrong_settings_are_named(study_file, settings: list[str], message: str) -> None:
    with pytest.raises((StudyError, ConfigError), match=message) as caught:
        resolve(load_study_file(study_file()), "demo", settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"questoin": "?"}, "unknown key 'questoin': did you mean 'question'"),
        ({"architecture": "srccn"}, "unknown architecture 'srccn': did you mean 'srcnn'"),
        (
            {"variants": [{"name": "plain", "variant": "debgu"}]},
            "unknown variant of srcnn 'debgu': did you mean 'debug'",
        ),
        (
            {"variants": [{"name": "plain", "variant": "debug", "config": {"activaton": "relu"}}]},
            "unknown key 'activaton': did you mean 'activation'",
        ),
        ({"variants": [{"name": "plain", "varaint": "debug"}]}, "unknown key 'varaint': did you mean 'variant'"),
        ({"variants": [{"name": "../up", "variant": "debug"}]}, "name"),
        ({"variants": ["debug", "bicubic"]}, "'bicubic' would look like bicubic, which is in every report"),
        ({"variants": ["debug", {"name": "hr", "variant": "debug"}]}, "'hr' would look like HR, which is in every"),
        ({"variants": ["debug", {"name": "Bicubic", "variant": "debug"}]}, "'Bicubic' would look like bicubic"),
        (
            {"variants": [{"name": "image", "variant": "debug"}], "baseline": "image"},
            "'image' is the name of a column of the res",
        ),
        (
            {"variants": [{"name": "dataset", "variant": "debug"}], "baseline": "dataset"},
            "'dataset' is the name of a column",
        ),
        ({"baseline": "plane"}, "baseline 'plane' is not among the variants"),
        ({"scale": 1}, "scale"),
        ({"profiles": {}}, "profiles"),
    ],
)
def test_wrong_study_files_are_named(study_file, changes: dict[str, object], message: str) -> None:
    with pytest.raises((StudyError, ConfigError), match=message) as caught:
        plan(resolve(load_study_file(study_file(**changes)), "demo"))
    assert "\n" not in str(caught.value)


def test_unknown_studies_profiles_and_broken_yaml_are_named(study_file, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="unknown study 'srcn': did you mean 'srcnn'"):
        load_study_file("srcn")
    with pytest.raises(StudyError, match=r"unknown profile 'dmeo' of study 'small': did you mean 'demo'\?"):
        resolve(load_study_file(study_file()), "dmeo")
    broken = tmp_path / "broken.yaml"
    broken.write_text("study: [")
    with pytest.raises(StudyError, match=r"broken\.yaml: not valid YAML"):
        load_study_file(str(broken))
    with pytest.raises(StudyError, match=r"missing\.yaml: no such file"):
        load_study_file(str(tmp_path / "missing.yaml"))


def test_merge_replaces_the_way_a_length_is_given() -> None:
    assert merge({"steps": 5, "batch": 1}, {"epochs": 2}) == {"epochs": 2, "batch": 1}
    assert merge({"epochs": 5}, {"steps": 2}) == {"steps": 2}
    assert merge({"epochs": 5}, {"batch": 2}) == {"epochs": 5, "batch": 2}


def test_a_single_run_takes_hyperparameters_network_keys_and_data() -> None:
    settings = ["activation=gelu", "steps=7", "data.train=t91", "kernel_sizes=9,1,5", "channels=1"]
    run = single_run("srcnn", None, settings)
    assert run.config["channels"] == 1
    assert run.variant == "vanilla"
    assert run.config["activation"] == "gelu"
    assert run.config["kernel_sizes"] == [9, 1, 5]
    assert run.hyperparameters.steps == 7
    assert run.data.train == ("t91",)
    with pytest.raises(StudyError, match="unknown key 'actvation': did you mean 'activation'"):
        single_run("srcnn", None, ["actvation=gelu"])


PLAIN = {"name": "plain", "variant": "debug"}
LATER = {"name": "later", "variant": "debug", "pretrained": "variant:plain", "freeze": "first_half"}


def test_a_variant_comes_after_the_one_it_starts_from(study_file) -> None:
    study = resolve(load_study_file(study_file(variants=[LATER, PLAIN])), "demo")
    runs = plan(study)
    assert [run.config.variant for run in runs] == ["plain"] * 4 + ["later"] * 4
    assert (runs[-1].config.pretrained, runs[-1].config.freeze) == ("variant:plain", "first_half")
    assert runs[0].config.freeze is None


def test_narrowing_keeps_what_a_variant_starts_from(study_file) -> None:
    study = resolve(load_study_file(study_file(variants=[PLAIN, LATER])), "demo", ["variants=later"])
    assert [variant.name for variant in study.variants] == ["plain", "later"]


def test_a_variant_may_have_its_own_learning_rates(study_file) -> None:
    own = LATER | {"learning_rates": [1e-5]}
    runs = plan(resolve(load_study_file(study_file(variants=[PLAIN, own], baseline="plain")), "demo"))
    rates = {(run.config.variant, run.config.hyperparameters.learning_rate) for run in runs}
    assert rates == {("plain", 1e-3), ("plain", 2e-3), ("later", 1e-5)}


def test_one_variant_for_perception_lets_all_be_measured_for_it(study_file) -> None:
    gan = PLAIN | {"name": "gan", "hyperparameters": {"loss": {"l1": 1, "adversarial": 0.01}}}
    assert {run.config.metrics for run in plan(resolve(load_study_file(study_file(variants=[PLAIN])), "demo"))} == {
        ("psnr_y", "ssim_y", "psnr_rgb")
    }
    runs = plan(resolve(load_study_file(study_file(variants=[PLAIN, gan])), "demo"))
    assert {run.config.metrics for run in runs} == {("psnr_y", "ssim_y", "psnr_rgb", "perceptual_distance")}


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ({"pretrained": "variant:plian"}, "variant 'later' starts from unknown variant 'plian': did you mean 'plain'"),
        ({"pretrained": "variant:later"}, "in a circle: later → later"),
        ({"pretrained": None, "reinitialize": ["body"]}, "reinitialize has no effect without pretrained"),
        ({"reinitialize": ["body"], "start_anew": ["body"]}, "unknown key 'start_anew'"),
        ({"freeze": 3}, "freeze"),
    ],
)
def test_impossible_starts_are_named(study_file, later: dict[str, object], message: str) -> None:
    with pytest.raises((StudyError, ConfigError), match=message) as caught:
        resolve(load_study_file(study_file(variants=[PLAIN, LATER | later])), "demo")
    assert "\n" not in str(caught.value)


def test_a_resolved_study_with_starts_is_read_back(study_file, tmp_path: Path) -> None:
    patterns = LATER | {"freeze": ["extraction*"], "reinitialize": ["mapping"]}
    study = resolve(load_study_file(study_file(variants=[PLAIN, patterns])), "demo")
    (tmp_path / "study.yaml").write_text(dump(study))
    assert load_resolved(tmp_path) == study
    assert study.variants[1].freeze == ("extraction*",)


def test_the_name_that_version_0_1_gave_to_reinitialize_is_read(study_file) -> None:
    runs = {}
    for key in ("reinitialize", "start_anew"):
        old = LATER | {key: ["mapping"]}
        runs[key] = plan(resolve(load_study_file(study_file(variants=[PLAIN, old])), "demo"))[-1].config
        single = single_run("srcnn", "debug", ["pretrained=runs/mine", f"{key}=mapping"])
        assert single.reinitialize == ("mapping",)
    assert runs["start_anew"] == runs["reinitialize"]
    assert runs["start_anew"].reinitialize == ("mapping",)
    with pytest.raises(StudyError, match="reinitialize has a value already"):
        single_run("srcnn", "debug", ["pretrained=runs/mine", "start_anew=mapping", "reinitialize=mapping"])


def test_a_single_run_may_start_from_a_model_but_not_from_a_variant() -> None:
    run = single_run(
        "srcnn", "debug", ["pretrained=runs/mine", "freeze=first_half", "reinitialize=mapping,reconstruction"]
    )
    assert (run.pretrained, run.freeze) == ("runs/mine", "first_half")
    assert run.reinitialize == ("mapping", "reconstruction")
    with pytest.raises(StudyError, match="only a study has variants to start from"):
        single_run("srcnn", "debug", ["pretrained=variant:plain"])


def test_settings_reach_into_groups_of_hyperparameters(study_file) -> None:
    gan = PLAIN | {
        "name": "gan",
        "hyperparameters": {
            "loss": {"l1": 1, "perceptual": 0.1, "adversarial": 0.01},
            "adversarial": {"kind": "hinge"},
            "steps": 7,
        },
    }
    settings = ["adversarial.discriminator.width=8", "perceptual.layers=stage1,stage2", "steps=5"]
    study = resolve(load_study_file(study_file(variants=[PLAIN, gan])), "demo", settings)
    options = plan(study)[-1].config.hyperparameters
    assert (options.adversarial.kind, options.adversarial.discriminator.width) == ("hinge", 8)
    assert options.perceptual.layers == ("stage1", "stage2")
    assert options.steps == 5, "what the user sets wins over a variant's own length"
    assert options.loss == {"l1": 1.0, "perceptual": 0.1, "adversarial": 0.01}, "but a variant's own loss is what it is"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("adversarial.knd=hinge", r"unknown key 'knd' in \S*adversarial: did you mean 'kind'"),
        ("adversarial.kind=hing", "did you mean 'hinge'"),
        ("adversrial.kind=hinge", "unknown key 'adversrial.kind'"),
        ("perceptual.backbone=vgg18", "unknown backbone 'vgg18': did you mean 'vgg19'"),
        ("loss.sim=1", "unknown loss 'sim': did you mean 'ssim'"),
        ("loss=adversarial", "an adversarial term alone ignores the input"),
    ],
)
def test_wrong_words_inside_groups_are_named(study_file, setting: str, message: str) -> None:
    with pytest.raises((StudyError, ConfigError), match=message) as caught:
        plan(resolve(load_study_file(study_file()), "demo", [setting]))
    assert "\n" not in str(caught.value)


def test_a_profile_gives_networks_their_size_and_single_variants_their_own(study_file) -> None:
    demo = SMALL["profiles"]["demo"] | {
        "config": {"widths": [6, 5]},
        "overrides": {
            "gelu": {"config": {"widths": [3, 2]}, "hyperparameters": {"patch": 9}, "learning_rates": [1e-5]}
        },
    }
    runs = {
        run.config.variant: run.config
        for run in plan(resolve(load_study_file(study_file(profiles={"demo": demo})), "demo"))
    }
    assert runs["plain"].config["widths"] == [6, 5]
    assert runs["gelu"].config["widths"] == [3, 2]
    assert (runs["gelu"].hyperparameters.patch, runs["gelu"].hyperparameters.batch) == (9, 2)
    assert runs["gelu"].hyperparameters.learning_rate == 1e-5
    wrong = SMALL["profiles"]["demo"] | {"overrides": {"gleu": {}}}
    with pytest.raises(StudyError, match="unknown variant in overrides 'gleu': did you mean 'gelu'"):
        resolve(load_study_file(study_file(profiles={"demo": wrong})), "demo")


def test_a_patch_that_the_discriminator_cannot_judge_fails_before_any_training(study_file) -> None:
    gan = PLAIN | {"name": "gan", "hyperparameters": {"loss": {"l1": 1, "adversarial": 0.01}}}
    study = resolve(load_study_file(study_file(variants=[PLAIN, gan])), "demo", ["patch=10"])
    with pytest.raises(ConfigError, match=r"multiple of 16 high-resolution pixels, got 20 \(nearest: 16\)"):
        plan(study)
    with pytest.raises(ConfigError, match="got 30"):
        single_run("srcnn", "debug", ["patch=15", "loss.l1=1", "loss.adversarial=0.01"])


def test_learning_rates_that_differ_in_the_seventh_digit_have_directories_of_their_own(study_file) -> None:
    runs = plan(resolve(load_study_file(study_file()), "demo", ["learning_rates=1e-3,1.0000001e-3,1.0000002e-3"]))
    assert len({run.directory for run in runs}) == len(runs) == 2 * 3 * 2
    assert {run.directory.parent.name for run in runs} == {"lr=0.001", "lr=0.0010000001", "lr=0.0010000002"}


@given(rates=st.lists(st.floats(min_value=0, max_value=10, exclude_min=True), min_size=1, max_size=5, unique=True))
def test_no_two_learning_rates_have_the_same_text(rates: list[float]) -> None:
    assert len({number_text(rate) for rate in rates}) == len(rates)
    assert [float(number_text(rate)) for rate in rates] == rates


@pytest.mark.parametrize("rate", [1e-3, 2e-3, 5e-4, 1e-4, 3e-4, 1e-5, 10.0, 1.0, 2.5e-6])
def test_the_usual_learning_rates_keep_the_directories_they_always_had(rate: float) -> None:
    assert number_text(rate) == f"{rate:g}"


def test_a_learning_rate_is_listed_once_however_it_is_written(study_file) -> None:
    with pytest.raises(ConfigError, match=r"learning rate 0\.001 is listed twice"):
        resolve(load_study_file(study_file()), "demo", ["learning_rates=1e-3,0.001"])
    own = [{"name": "plain", "variant": "debug", "learning_rates": [1e-3, 0.001]}]
    with pytest.raises(ConfigError, match=r"variant 'plain': learning rate 0\.001 is listed twice"):
        resolve(load_study_file(study_file(variants=own)), "demo")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["seeds=0,,1"], "--set seeds=0,,1: a part between the commas is empty"),
        (["seeds=0,"], "a part between the commas is empty"),
        (["seeds=0", "seeds=1"], "--set seeds=1: seeds has a value already"),
        (["loss.l1=1", "loss=l2"], "--set loss=l2: loss has a value already"),
        (["loss=l2", "loss.l1=1"], "loss has a value already"),
        (["steps=1_000"], "steps: input should be a valid integer, got '1_000'"),
        (["steps=1e3"], "steps: input should be a valid integer, got '1e3'"),
        (["steps=true"], "steps: input should be a valid integer, got 'true'"),
        (["seeds=true,2"], r"seeds\.0: input should be a valid integer, got 'true'"),
        (["seeds=１"], "seeds"),
        (["learning_rates=nan"], "learning_rates: input should be a finite number, got 'nan'"),
        (["learning_rates=1e-3,inf"], r"learning_rates\.1: input should be a finite number, got 'inf'"),
        (["steps=1000000000000000000000000000000"], "steps: input should be less than or equal to"),
        (["batch=1000000000000000000000"], "batch: input should be less than or equal to"),
        (["batch=10000", "patch=4096"], "low-resolution pixels per step"),
        (["seeds=" + ",".join(map(str, range(6000)))], "runs .variants × learning rates × seeds., at most 10,000"),
        (["baseline=gleu"], "the baseline 'gleu' is not among the variants: plain, gelu: did you mean 'gelu'"),
        (["baseline=plain", "variants=gelu"], "the baseline 'plain' is not among the variants: gelu"),
        (["baseline=typo", "variants=gelu"], "the baseline 'typo' is not among the variants: gelu"),
        (["momentum=0.8"], "--set momentum: momentum has no effect with optimizer 'adam'"),
        (["perceptual.backbone=vgg19"], "has no effect without the loss term 'perceptual'"),
        (["adversarial.kind=hinge"], "has no effect without the loss term 'adversarial'"),
    ],
)
def test_settings_are_read_strictly_and_have_an_effect(study_file, settings: list[str], message: str) -> None:
    began = time.monotonic()
    with pytest.raises((StudyError, ConfigError), match=message) as caught:
        plan(resolve(load_study_file(study_file()), "demo", settings))
    assert len(str(caught.value).splitlines()) == 1
    assert time.monotonic() - began < 20


def test_zeros_ahead_of_a_number_do_not_make_it_octal(study_file) -> None:
    assert resolve(load_study_file(study_file()), "demo", ["seeds=010,011"]).seeds == (10, 11)


OWN_LOSS = {"name": "l2", "variant": "debug", "hyperparameters": {"loss": "l2"}}


def test_a_baseline_that_is_narrowed_away_is_replaced_with_a_note(study_file) -> None:
    study, notes = resolve_with_notes(load_study_file(study_file()), "demo", ["variants=gelu"])
    assert study.baseline == "gelu"
    assert notes == ["the baseline is 'gelu': the study's own, 'plain', is not among the variants"]
    assert resolve_with_notes(load_study_file(study_file()), "demo", ["variants=plain"])[1] == []


def test_learning_rates_that_are_set_reach_every_variant(study_file) -> None:
    own = LATER | {"learning_rates": [1e-5]}
    study = resolve(load_study_file(study_file(variants=[PLAIN, own])), "demo", ["learning_rates=1e-4"])
    assert {(run.config.variant, run.config.hyperparameters.learning_rate) for run in plan(study)} == {
        ("plain", 1e-4),
        ("later", 1e-4),
    }
    for run in plan(resolve(load_study_file("srgan"), "demo", ["learning_rates=1e-5"])):
        assert run.config.hyperparameters.learning_rate == 1e-5


def test_a_setting_that_some_variants_keep_their_own_value_of_is_noted(study_file) -> None:
    file = load_study_file(study_file(variants=[PLAIN, OWN_LOSS]))
    study, notes = resolve_with_notes(file, "demo", ["loss=charbonnier"])
    assert [run.config.hyperparameters.loss for run in plan(study)][::4] == [{"charbonnier": 1.0}, {"l2": 1.0}]
    assert notes == ["--set loss does not reach variants that state their own: l2"]
    with pytest.raises(StudyError, match="--set loss has no effect: every variant states its own"):
        resolve(file, "demo", ["loss=charbonnier", "variants=l2", "baseline=l2"])


def profiles(**changes: object) -> dict[str, object]:
    return {"demo": SMALL["profiles"]["demo"] | changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"profiles": profiles(hyperparameters={"steps": 1, "momentum": 0.9})},
            "momentum has no effect with optimizer 'adam': it is for muon, sgd in any variant",
        ),
        (
            {"variants": ["debug", {"name": "b", "variant": "debug", "hyperparameters": {"momentum": 0.5}}]},
            "variant 'b': momentum has no effect",
        ),
        (
            {"profiles": profiles(hyperparameters={"steps": 1, "adversarial": {"discriminator": {"width": 8}}})},
            "adversarial.discriminator.width has no effect without the loss term 'adversarial'",
        ),
        (
            {"profiles": profiles(hyperparameters={"steps": 1, "learning_rate": 1e-3})},
            "learning_rate among the hyperparameters has no effect: a study sweeps learning_rates",
        ),
        (
            {"variants": [{"name": "plain", "variant": "debug", "hyperparameters": {"seed": 3}}]},
            "variant 'plain': seed among the hyperparameters has no effect",
        ),
        (
            {"profiles": profiles(variants=["plain"], overrides={"gelu": {"config": {"widths": [3, 2]}}})},
            "overrides of 'gelu' have no effect",
        ),
        ({"variants": [{"name": "plain", "variant": "debug", "config": {"scale": 3}}]}, "the study ranks one scale, 2"),
        ({"study": "two\nlines"}, "not one line of printable characters"),
        ({"variants": ["debug", {"name": "Debug", "variant": "debug"}], "baseline": "debug"}, "listed twice"),
        ({"variants": [{"name": "nul", "variant": "debug"}]}, "Windows reserves it"),
        ({"variants": [{"name": "x" * 101, "variant": "debug"}]}, "more than 100 characters"),
        ({"variants": [{"name": "a\0b", "variant": "debug"}]}, "U.0000"),
    ],
)
def test_what_a_study_file_says_without_effect_is_an_error(
    study_file, changes: dict[str, object], message: str
) -> None:
    file = {"baseline": "debug"} if "debug" in changes.get("variants", ()) else {}
    with pytest.raises((StudyError, ConfigError), match=message) as caught:
        resolve(load_study_file(study_file(**file, **{k: v for k, v in changes.items() if k not in file})), "demo")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("architecture", "settings", "message"),
    [
        ("srresnet", ["second_half_block=plain"], "second_half_block=plain has no effect"),
        ("srresnet", ["normalization=none", "batch_norm_momentum=0.1"], "batch_norm_momentum=0.1 has no effect"),
        ("srcnn", ["momentum=0.9"], "momentum has no effect with optimizer 'adam'"),
        (
            "srcnn",
            [
                "loss=l1,adversarial",
                "patch=16",
                "adversarial.discriminator.normalization=none",
                "adversarial.discriminator.batch_norm_momentum=0.1",
            ],
            "batch_norm_momentum has no effect with adversarial.discriminator.normalization 'none'",
        ),
        ("srcnn", ["widths=65536,65536", "kernel_sizes=255,255,255"], "parameters; training them needs"),
        ("rdn", ["blocks=1000", "layers=1000"], "1000 blocks of 1000 layers: at most"),
    ],
)
def test_a_single_run_has_no_settings_without_effect(architecture: str, settings: list[str], message: str) -> None:
    with pytest.raises((StudyError, ConfigError), match=message) as caught:
        single_run(architecture, None, settings)
    assert len(str(caught.value).splitlines()) == 1


def test_a_study_directory_with_defaults_that_have_no_effect_is_read(study_file, tmp_path: Path) -> None:
    study = resolve(load_study_file(study_file()), "demo")
    (tmp_path / "study.yaml").write_text(dump(study))
    assert "momentum: 0.9" in (tmp_path / "study.yaml").read_text()
    assert plan(load_resolved(tmp_path)) == plan(study)
