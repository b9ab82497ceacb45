"""Names of the zoo, wherever a model may be named."""

from pathlib import Path

import numpy as np
import pytest
from skimage import data

import nitido
from nitido.models import ModelFileError, save_model
from nitido.models.find import find_model, model_path
from nitido.models.zoo import ZooError, shipped, zoo_names, zoo_path
from nitido.models.zoo.listing import choose_default
from tests.models.zoo.small_zoo import add_model, fill


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "zoo"
    fill(folder)
    monkeypatch.setattr(shipped, "FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_names_and_paths(zoo: Path) -> None:
    assert zoo_names() == ["edsr-x2", "edsr-x4", "srcnn-x2", "srgan-x4"]
    assert zoo_path("edsr-x4") == zoo / "edsr-x4.safetensors"
    with pytest.raises(ZooError, match="did you mean 'edsr-x2'"):
        zoo_path("edrs-x2")


def test_a_name_loads_the_network(zoo: Path) -> None:
    network = nitido.load_model("edsr-x4")
    assert (network.scale, type(network).__name__) == (4, "EDSR")


def test_a_name_of_the_zoo_takes_precedence_over_files(zoo: Path, tmp_path: Path) -> None:
    add_model(tmp_path / "edsr-x2", "model", 30.0)
    assert model_path("edsr-x2") == zoo / "edsr-x2.safetensors"
    assert find_model("edsr-x2").descriptor.architecture == "edsr"
    for path in ("./edsr-x2", "edsr-x2/", Path("edsr-x2"), tmp_path / "edsr-x2"):
        assert find_model(path).descriptor.architecture == "srcnn"
    (tmp_path / "srcnn-x2").write_bytes((zoo / "edsr-x4.safetensors").read_bytes())
    assert find_model("srcnn-x2").descriptor.name == "srcnn-x2"
    assert find_model("./srcnn-x2").descriptor.name == "edsr-x4"
    assert model_path(Path("edsr-x4")) == zoo / "edsr-x4.safetensors"


def test_bicubic_is_never_a_directory(zoo: Path, tmp_path: Path) -> None:
    add_model(tmp_path / "bicubic", "model", 30.0)
    with pytest.raises(ModelFileError, match="only evaluate, compare and upscale accept 'bicubic'"):
        model_path("bicubic")
    assert model_path("./bicubic") == Path("bicubic/model.safetensors")


def test_an_unknown_word_names_the_nearest(zoo: Path) -> None:
    with pytest.raises(
        ModelFileError, match=r"no such model file .* unknown model of the zoo 'esdr-x4': did you mean 'edsr-x4'"
    ):
        nitido.load_model("esdr-x4")
    for path in ("./edsr-x2", "runs/edsr-x2", "edsr-x3.safetensors"):
        with pytest.raises(ModelFileError, match="no such model file"):
            nitido.load_model(path)


def test_an_empty_zoo_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(ModelFileError, match="edsr-x2: no such model file or run directory"):
        model_path("edsr-x2")
    with pytest.raises(ZooError, match="no fidelity model as a default: specify a model"):
        nitido.upscale(np.zeros((8, 8), dtype=np.uint8))


def test_the_default_is_the_fidelity_model_with_the_best_psnr(zoo: Path) -> None:
    assert [choose_default(target) for target in (None, 1.2, 2, 3.9, 4, 16)] == ["edsr-x2"] * 4 + ["edsr-x4"] * 2
    (zoo / "edsr-x4.safetensors").unlink()
    assert choose_default(4) == "edsr-x2"  # which is run twice then


def test_the_ranking_dataset_is_bsd100(zoo: Path) -> None:
    descriptor = find_model("srcnn-x2").descriptor
    assert descriptor.publication is not None
    better = descriptor.publication.model_dump()
    better["metrics"][2] = {"set5": {"psnr_y": 30.0}, "set14": {"psnr_y": 30.0}, "bsd100": {"psnr_y": 36.0}}
    released = descriptor.model_copy(update={"publication": type(descriptor.publication)(**better)})
    save_model(zoo / "srcnn-x2.safetensors", find_model("srcnn-x2").network, released)
    assert choose_default(2) == "srcnn-x2"


def test_an_unpublished_model_is_reported(zoo: Path) -> None:
    network, descriptor = find_model("srcnn-x2")
    save_model(zoo / "srcnn-x2.safetensors", network, descriptor.model_copy(update={"publication": None}))
    with pytest.raises(ZooError, match="srcnn-x2: is in the zoo but was not published"):
        choose_default(2)


def test_upscale_chooses_by_the_scale(zoo: Path) -> None:
    image = data.astronaut()[40:64, 180:210]
    np.testing.assert_array_equal(nitido.upscale(image), nitido.upscale(image, "edsr-x2"))
    np.testing.assert_array_equal(nitido.upscale(image, scale=3), nitido.upscale(image, "edsr-x2", 3))
    four = nitido.upscale(image, scale=4)
    np.testing.assert_array_equal(four, nitido.upscale(image, "edsr-x4", 4))
    assert (four != nitido.upscale(image, "edsr-x2", 4)).any()
