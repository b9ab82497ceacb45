"""Names of the zoo on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import nitido as nitido_package
from nitido.models.zoo import shipped
from tests.cli.conftest import write_tiny_study
from tests.models.zoo.small_zoo import fill

PHOTO = data.astronaut()[40:104, 180:260]


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fill(tmp_path / "zoo")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "zoo")
    return tmp_path / "zoo"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    Image.fromarray(PHOTO).save(tmp_path / "photos" / "a.png")
    return tmp_path / "photos" / "a.png"


def test_the_list(call, zoo: Path, tmp_path: Path) -> None:
    done = call("model", "list", "--json", tmp_path / "m.json")
    assert done.code == 0, done.err
    models = {entry["name"]: entry for entry in json.loads((tmp_path / "m.json").read_text())["models"]}
    assert list(models) == ["edsr-x2", "edsr-x4", "srcnn-x2", "srgan-x4"]
    assert (models["edsr-x4"]["architecture"], models["edsr-x4"]["scales"]) == ("edsr", [4])
    assert models["edsr-x4"]["metrics"] == {
        "4": {d: {"psnr_y": v, "ssim_y": 0.9} for d, v in {"set5": 31.75, "set14": 30.75, "bsd100": 29.75}.items()}
    }
    assert models["srcnn-x2"]["parameters"] == 243
    [line] = [line for line in done.out.splitlines() if "srgan-x4" in line]
    for cell in ("srresnet", "perception", "×4", "33.25", "32.25", "31.25", "CC0-1.0"):
        assert cell in line


def test_json_to_standard_output_and_an_empty_zoo(
    call, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(json.loads(call("model", "list", "--json", "-").out)["models"]) == 4
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    done = call("model", "list", "--json", "-")
    assert (done.code, json.loads(done.out)) == (0, {"models": []})


def test_the_zoo_that_ships_can_be_listed(nitido) -> None:
    done = nitido("model", "list", "--json", "-")
    assert done.code == 0, done.err
    assert [m["name"] for m in json.loads(done.out)["models"]] == shipped.zoo_names()


def test_a_name_wherever_a_model_is_wanted(call, zoo: Path, photo: Path) -> None:
    shown = call("model", "show", "edsr-x2", "--json", "-")
    assert json.loads(shown.out)["publication"]["bfloat16_cost_db"] == {"2": 0.001}
    measured = call("evaluate", "edsr-x2", "bicubic", "--data", "./photos", "--scale", 2, "--json", "-")
    assert {m["model"] for m in json.loads(measured.out)["means"]} == {"edsr-x2", "bicubic"}
    compared = call("compare", photo, "edsr-x2", "srcnn-x2", "--scale", 2, "-o", "f.png", "--json", "-")
    assert {e["model"] for e in json.loads(compared.out)["entries"]} == {"edsr-x2", "srcnn-x2"}
    upscaled = call("upscale", photo, "-o", "named.png", "--model", "srcnn-x2")
    assert upscaled.code == 0, upscaled.err
    wrong = call("model", "show", "ersr-x2")
    assert (wrong.code, "did you mean 'edsr-x2'" in wrong.error_line) == (1, True)


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ([], "edsr-x2"),
        (["--scale", "3"], "edsr-x2"),
        (["--scale", "4"], "edsr-x4"),
        (["--width", "200"], "edsr-x2"),
        (["--height", "256"], "edsr-x4"),
    ],
)
def test_upscale_chooses_a_model_and_names_it(
    call, zoo: Path, photo: Path, tmp_path: Path, options: list[str], chosen: str
) -> None:
    done = call("upscale", photo, "-o", "out.png", *options)
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[0].startswith(f"model: {chosen}, ")
    assert call("upscale", photo, "-o", "named.png", "--model", chosen, *options).code == 0
    np.testing.assert_array_equal(Image.open(tmp_path / "out.png"), Image.open(tmp_path / "named.png"))


def test_upscale_by_4_without_a_model_for_it_runs_that_of_2_twice(call, zoo: Path, photo: Path, tmp_path: Path) -> None:
    (zoo / "edsr-x4.safetensors").unlink()
    done = call("upscale", photo, "-o", "out.png", "--scale", 4)
    assert done.code == 0, done.err
    assert done.err.splitlines()[0].startswith("model: edsr-x2, ")
    given, made = Image.open(photo), Image.open(tmp_path / "out.png")
    assert made.size == (4 * given.width, 4 * given.height)


def test_upscale_with_nothing_to_choose(call, zoo: Path, photo: Path, tmp_path: Path) -> None:
    for model in zoo.glob("*.safetensors"):
        model.unlink()
    done = call("upscale", photo, "-o", "out.png", "--scale", 4)
    assert done.code == 1
    assert "the zoo has no fidelity model" in done.error_line
    assert not (tmp_path / "out.png").exists()


def test_a_study_starts_from_the_zoo(call, zoo: Path, tmp_path: Path) -> None:
    variants = [{"name": "plain", "variant": "debug"}, {"name": "tuned", "variant": "debug", "pretrained": "srcnn-x2"}]
    done = call("study", "run", write_tiny_study(tmp_path, {"variants": variants}), "--out", tmp_path / "out")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "out/runs/tuned/lr=0.002/seed=0/transfer.json").read_text())
    assert report["source"] == "srcnn-x2"
    assert set(report["loaded"]) == set(nitido_package.load_model("srcnn-x2").state_dict())


def test_a_misspelled_start_is_reported_before_any_training(call, zoo: Path, tmp_path: Path) -> None:
    variants = [{"name": "plain", "variant": "debug"}, {"name": "tuned", "variant": "debug", "pretrained": "srcnn-2x"}]
    done = call("study", "run", write_tiny_study(tmp_path, {"variants": variants}), "--out", tmp_path / "out")
    assert done.code == 1
    assert "did you mean 'srcnn-x2'" in done.error_line
    assert not (tmp_path / "out").exists()
