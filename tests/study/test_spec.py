"""Study files: profiles, settings, and mistakes that are named before anything runs."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nitido.number_text import number_text
from nitido.study.plan import plan, single_run
from nitido.study.spec import StudyError, builtin_names, dump, load_resolved, load_study_file, merge, resolve
from nitido.validation import ConfigError

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
        ({"variants": ["debug", "bicubic"]}, "bicubic"),
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
    with pytest.raises(StudyError, match=r"unknown profile .* 'dmeo': did you mean 'demo'"):
        resolve(load_study_file(study_file()), "dmeo")
    broken = tmp_path / "broken.yaml"
    broken.write_text("study: [")
    with pytest.raises(StudyError, match=r"broken\.yaml: not valid YAML"):
        load_study_file(str(broken))
    with pytest.raises(StudyError, match=r"missing\.yaml: cannot be read"):
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
        ({"pretrained": None, "start_anew": ["body"]}, "pretrained is not given"),
        ({"freeze": 3}, "freeze"),
    ],
)
def test_impossible_starts_are_named(study_file, later: dict[str, object], message: str) -> None:
    with pytest.raises((StudyError, ConfigError), match=message) as caught:
        resolve(load_study_file(study_file(variants=[PLAIN, LATER | later])), "demo")
    assert "\n" not in str(caught.value)


def test_a_resolved_study_with_starts_is_read_back(study_file, tmp_path: Path) -> None:
    patterns = LATER | {"freeze": ["extraction*"], "start_anew": ["mapping"]}
    study = resolve(load_study_file(study_file(variants=[PLAIN, patterns])), "demo")
    (tmp_path / "study.yaml").write_text(dump(study))
    assert load_resolved(tmp_path) == study
    assert study.variants[1].freeze == ("extraction*",)


def test_a_single_run_may_start_from_a_model_but_not_from_a_variant() -> None:
    run = single_run(
        "srcnn", "debug", ["pretrained=runs/mine", "freeze=first_half", "start_anew=mapping,reconstruction"]
    )
    assert (run.pretrained, run.freeze) == ("runs/mine", "first_half")
    assert run.start_anew == ("mapping", "reconstruction")
    with pytest.raises(StudyError, match="only a study has variants to start from"):
        single_run("srcnn", "debug", ["pretrained=variant:plain"])


def test_settings_reach_into_groups_of_hyperparameters(study_file) -> None:
    gan = PLAIN | {
        "name": "gan",
        "hyperparameters": {"loss": {"l1": 1, "adversarial": 0.01}, "adversarial": {"kind": "hinge"}, "steps": 7},
    }
    settings = ["adversarial.discriminator.width=8", "perceptual.layers=stage1,stage2", "steps=5"]
    study = resolve(load_study_file(study_file(variants=[PLAIN, gan])), "demo", settings)
    options = plan(study)[-1].config.hyperparameters
    assert (options.adversarial.kind, options.adversarial.discriminator.width) == ("hinge", 8)
    assert options.perceptual.layers == ("stage1", "stage2")
    assert options.steps == 5, "what the user sets wins over a variant's own length"
    assert options.loss == {"l1": 1.0, "adversarial": 0.01}, "but a variant's own loss is what it is"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("adversarial.knd=hinge", r"unknown key 'knd' in \S*adversarial: did you mean 'kind'"),
        ("adversarial.kind=hing", "did you mean 'hinge'"),
        ("adversrial.kind=hinge", "unknown key 'adversrial.kind'"),
        ("perceptual.backbone=vgg18", "unknown backbone 'vgg18': did you mean 'vgg19'"),
        ("loss.sim=1", "unknown loss 'sim': did you mean 'ssim'"),
        ("loss=adversarial", "an adversarial term alone forgets the picture"),
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
