"""The other commands: help, train, evaluate, compare, data, model."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nitido as nitido_package
from tests.forked import ForkServer
from tests.forked.images import make_images

TINY = ["--variant", "debug", "--set", "steps=4", "--set", "patch=12", "--set", "batch=2", "--set", "validate_every=4"]


def test_every_command_has_help_with_an_example(call) -> None:
    commands = [["train"], ["evaluate"], ["compare"], ["upscale"]]
    commands += [["study", c] for c in ("list", "show", "run", "report")]
    commands += [["data", c] for c in ("list", "fetch", "prepare", "check")]
    commands += [["model", c] for c in ("list", "show", "plot", "import")]
    for command in commands:
        done = call(*command, "--help")
        assert done.code == 0
        assert f"Example: nitido {' '.join(command)}" in done.out, command
        assert not re.search(r"\s\.\s", done.out), f"{command}: text in [brackets] is dropped as markup"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, nitido.cli.app\n"
        "heavy = {'torch', 'lightning', 'pyvips', 'skimage', 'matplotlib', 'polars', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


GREEDY = """
import sys, torch
from nitido.cli import app as commands

@commands.app.command()
def greedy(numbers: int) -> None:
    torch.empty(numbers) @ torch.empty(3)

sys.argv[0] = "nitido"
commands.main()
"""


def test_out_of_memory_is_one_line_and_another_error_is_not(fork_server: ForkServer, tmp_path: Path) -> None:
    short, wrong = (fork_server.python(GREEDY, "greedy", numbers, cwd=tmp_path) for numbers in (10**15, 2))
    assert (short.code, short.err) == (1, "nitido: there is not enough memory for this\n")
    assert "RuntimeError: inconsistent tensor size" in wrong.err


def test_train_then_use_the_model(nitido, call, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = nitido("train", "srcnn", *TINY, "--out", run)
    assert trained.code == 0, trained.err
    assert str(run / "model.safetensors") in trained.out

    shown = json.loads(call("model", "show", run, "--json", "-").out)
    assert (shown["architecture"], shown["scale"]) == ("srcnn", 2)
    assert shown["training"]["data"] == {"train": ["samples"], "validation": ["samples"], "test": ["samples"]}
    assert shown["metrics"]["samples"]["psnr_y"] > 5

    plotted = call("model", "plot", run / "model.safetensors", "-o", tmp_path / "m.svg")
    assert plotted.code == 0, plotted.err
    assert "Conv" in (tmp_path / "m.svg").read_text()

    network = nitido_package.load_model(run)
    assert network.scale == 2
    assert not network.training

    wrong = call("evaluate", run, "--data", "samples", "--scale", "3")
    assert wrong.code == 1
    assert "this model upscales by ×2, not by ×3" in wrong.error_line

    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 80, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    figure = tmp_path / "f.png"
    compared = nitido("compare", tmp_path / "photo.png", "bicubic", run, "--scale", 2, "-o", figure, "--json", "-")
    assert compared.code == 0, compared.err
    entries = json.loads(compared.out)["entries"]
    assert [entry["rank"] for entry in entries] == [1, 2]
    assert entries[0]["psnr_y"] > entries[1]["psnr_y"]
    assert {entry["model"] for entry in entries} == {"bicubic", str(run)}
    with Image.open(figure) as drawn:
        assert drawn.width > 400


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "srccn", "--out", "x"], "unknown architecture 'srccn': did you mean 'srcnn'"),
        (["train", "srcnn", "--variant", "residul", "--out", "x"], "did you mean 'residual'"),
        (["train", "srcnn", "--set", "activation=rellu", "--out", "x"], "did you mean 'relu'"),
        (["train", "srcnn", "--set", "learning_rate=-1", "--out", "x"], "greater than 0"),
        (["evaluate", "bicubic", "--data", "set5", "--scale", "2"], "nitido data fetch set5"),
        (["evaluate", "nothing.safetensors", "--data", "samples", "--scale", "2"], "no such model file"),
        (["evaluate", "bicubic", "--data", "./empty", "--scale", "2"], "empty"),
        (["evaluate", "bicubic", "--data", "./broken", "--scale", "2"], "broken/a.png"),
        (
            ["evaluate", "bicubic", "--data", "samples", "--scale", "2", "--metric", "flipp"],
            "unknown metric 'flipp': did you mean 'flip'",
        ),
        (["compare", "missing.png", "bicubic", "--scale", "2", "-o", "f.png"], "missing.png"),
        (["compare", "missing.png", "bicubic", "--scale", "2", "-o", "f.jpg"], "ends in .png"),
        (["data", "fetch", "sett5"], "unknown dataset 'sett5': did you mean 'set5'"),
        (["data", "check", "nowhere"], "nowhere"),
        (["model", "show", "."], "no model.safetensors"),
        (["model", "import", "none.npz", "-o", "m.safetensors"], "none.npz: no such weights file"),
        (["model", "import", "broken/a.png", "-o", "m.safetensors"], "not a file of weights that can be imported"),
        (["model", "import", "none.npz", "-o", "m.npz"], "ends in .safetensors"),
        (["study", "report", "."], "study.yaml"),
    ],
)
def test_bad_input_is_one_line(call, tmp_path: Path, args: list[str], message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("this is no image")
    before = sorted(tmp_path.rglob("*"))
    done = call(*args)
    assert done.code == 1
    assert message in done.error_line
    assert sorted(tmp_path.rglob("*")) == before


def test_data_list_prepare_and_check(call, tmp_path: Path) -> None:
    listed = {entry["name"]: entry for entry in json.loads(call("data", "list", "--json", "-").out)["datasets"]}
    assert {"samples", "set5", "set14", "bsd100", "urban100", "t91", "bsds200", "bsds200_test", "div2k"} == set(listed)
    assert listed["samples"]["here"]
    assert not listed["set5"]["here"]

    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(pixels).save(folder / "b.bmp")
    Image.fromarray(pixels[::-1]).save(folder / "d.png")
    (folder / "c.jpg").write_bytes(b"")
    checked = call("data", "check", folder)
    assert checked.code == 1
    assert "b.bmp: the same pixels as a.png" in checked.out
    assert "c.jpg" in checked.out

    (folder / "c.jpg").unlink()
    prepared = call("data", "prepare", folder, "--scale", "2", "--scale", "3")
    assert prepared.code == 0, prepared.err
    assert "2 images" in prepared.out, "b.bmp repeats a.png"


def test_evaluate_measures_what_it_is_asked_for(call, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    asked = ["--metric", "psnr_y", "--metric", "colour_shift"]
    done = call("evaluate", "bicubic", "--data", "./photos", "--scale", 2, *asked, "--json", tmp_path / "m.json")
    assert done.code == 0, done.err
    found = {row["metric"] for row in json.loads((tmp_path / "m.json").read_text())["rows"]}
    assert found == {"psnr_y", "colour_shift"}


def test_self_ensemble_changes_the_figures_of_a_network(nitido, call, tmp_path: Path) -> None:
    settings = [
        "steps=2",
        "validate_every=2",
        "batch=2",
        "patch=8",
        "data.test=samples/test[:1]",
        "data.validation=samples[:1]",
    ]
    done = nitido("train", "srcnn", "--variant", "debug", "--out", "run", *(x for s in settings for x in ("--set", s)))
    assert done.code == 0, done.err
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "a.png")
    values, names = [], []
    for option in ([], ["--self-ensemble"]):
        done = call(
            "evaluate", "run", "bicubic", "--data", "./photos", "--scale", 2, *option, "--json", tmp_path / "m.json"
        )
        assert done.code == 0, done.err
        found = json.loads((tmp_path / "m.json").read_text())
        values.append(found["means"][0]["value"])
        names.append(list(dict.fromkeys(row["model"] for row in found["rows"])))
        assert all(name in done.out for name in names[-1])
    assert names == [["run", "bicubic"], ["run (self-ensemble)", "bicubic"]]
    assert values[0] != values[1]
    assert values[0] == pytest.approx(values[1], abs=1)


def test_titles_of_compared_models_are_unambiguous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models that were called "debug" when they were trained, one called like the baseline, one like a folder."""
    from nitido.architectures import build, resolve_config
    from nitido.cli.evaluation import _titles
    from nitido.models import ModelDescriptor, save_model

    monkeypatch.chdir(tmp_path)
    network = build("srcnn", resolve_config("srcnn", "debug", {"scale": 2}))
    for file, name in (("a", "debug"), ("b", "debug"), ("c", "bicubic"), ("d", "own"), ("e", "./d.safetensors")):
        save_model(tmp_path / f"{file}.safetensors", network, ModelDescriptor.of(network, "srcnn", name, {}))
    words = ["bicubic", *(f"./{file}.safetensors" for file in "abcde")]
    expected = ["bicubic", *(f"./{file}.safetensors" for file in "abc"), "own", "./e.safetensors"]
    assert list(_titles(words).values()) == expected
    assert _titles(["./a.safetensors", "./d.safetensors"])["./a.safetensors"] == "debug"


@pytest.mark.parametrize(("loss", "said"), [({"l1": 1.0, "adversarial": 0.1}, True), ({"l1": 1.0}, False)])
def test_a_model_for_perception_is_not_ranked_by_psnr_without_a_word(
    call, tmp_path: Path, loss: dict[str, float], said: bool
) -> None:
    from nitido.architectures import build, resolve_config
    from nitido.models import ModelDescriptor, save_model

    network = build("srcnn", resolve_config("srcnn", "debug", {}))
    descriptor = ModelDescriptor.of(network, "srcnn", "debug", {"hyperparameters": {"loss": loss}})
    save_model(tmp_path / "model.safetensors", network, descriptor)
    image = make_images(tmp_path, 1) / "test" / "test0.png"
    done = call("compare", image, "bicubic", "./model.safetensors", "--scale", 2, "-o", "figure.png")
    assert done.code == 0, done.err
    assert ("./model.safetensors: trained for perception, which costs PSNR" in done.out) == said
