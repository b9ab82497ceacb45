"""`--device` of every command that runs networks: refused before any work, acted on, and recorded."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nitido.base import device as devices
from nitido.models.zoo import zoo_path

TINY = ["data.train=samples", "data.validation=samples[:1]", "data.test=samples/test[:1]"]
TINY += ["steps=4", "batch=2", "patch=12", "validate_every=4", "compile=false"]
TRAIN = ["train", "srcnn", "--variant", "debug", *(word for setting in TINY for word in ("--set", setting))]
MODEL = str(zoo_path("srcnn-x2"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "photo.png"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 36, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "available_devices", lambda: ["cpu"])


COMMANDS = (
    [*TRAIN, "--out", "out"],
    ["study", "run", "srcnn", "--out", "out"],
    ["evaluate", MODEL, "--data", "samples", "--scale", "2", "--json", "out"],
    ["compare", "photos/photo.png", MODEL, "--scale", "2", "-o", "out.png"],
    ["upscale", "photos/photo.png", "-o", "out.png", "--model", MODEL],
    ["benchmark", "train"],
    ["benchmark", "data"],
    ["benchmark", "upscale"],
)


@pytest.mark.usefixtures("no_cards", "photo")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_every_command_refuses_a_device_that_is_not_there_before_any_work(call, command, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    for name, said in (
        ("cuda:3", "device 'cuda:3' is not available: this machine has cpu; auto takes cpu"),
        ("gpu", "unknown device 'gpu': did you mean 'cuda:0'? (this machine has cpu; auto takes cpu)"),
    ):
        done = call(*command, "--device", name)
        assert (done.code, done.error_line) == (1, f"nitido: {said}")
    assert set(tmp_path.iterdir()) == before


@pytest.mark.usefixtures("photo")
def test_bicubic_alone_has_no_use_for_a_device(call) -> None:
    for command in (
        ["evaluate", "bicubic", "--data", "samples", "--scale", "2"],
        ["compare", "photos/photo.png", "bicubic", "--scale", "2", "-o", "out.png"],
        ["upscale", "photos/photo.png", "-o", "out.png", "--model", "bicubic", "--scale", "2"],
    ):
        done = call(*command, "--device", "cpu")
        assert (done.code, done.error_line) == (1, "nitido: --device: bicubic is not a network: leave the option out")


def test_onnx_runtime_runs_on_the_processor(call, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "available_devices", lambda: ["cuda:0", "cpu"])
    done = call("upscale", photo, "-o", "out.png", "--model", MODEL, "--backend", "onnx", "--device", "cuda:0")
    expected = "nitido: --device cuda:0: ONNX Runtime runs on the processor: leave the option out"
    assert (done.code, done.error_line) == (1, expected)


@pytest.mark.usefixtures("no_cards")
def test_naming_the_processor_changes_no_bit_and_results_record_the_device(call, photo: Path, tmp_path: Path) -> None:
    for name, option in (("auto", []), ("named", ["--device", "cpu"])):
        done = call("upscale", photo.parent, "-o", tmp_path / name, "--model", MODEL, *option)
        assert done.code == 0, done.err
        done = call(
            "evaluate", MODEL, "--data", photo.parent, "--scale", 2, "--json", tmp_path / f"{name}.json", *option
        )
        assert done.code == 0, done.err
    assert (tmp_path / "auto" / "photo.png").read_bytes() == (tmp_path / "named" / "photo.png").read_bytes()
    (entry,) = map(json.loads, (tmp_path / "named" / ".nitido-upscale.jsonl").read_text().splitlines())
    assert entry["device"] == "cpu"
    auto, named = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("auto", "named"))
    assert auto == named
    assert named["device"] == "cpu"


@pytest.mark.usefixtures("no_cards")
def test_a_run_is_the_same_run_on_the_named_processor(call, tmp_path: Path) -> None:
    assert call(*TRAIN, "--out", "auto").code == 0
    assert call(*TRAIN, "--out", "named", "--device", "cpu").code == 0
    auto, named = tmp_path / "auto", tmp_path / "named"
    for file in ("identity.json", "model.safetensors", "metrics.jsonl"):
        assert (auto / file).read_bytes() == (named / file).read_bytes(), file
    assert json.loads((named / "environment.json").read_text())["device"] == "cpu"
    assert json.loads((named / "status.json").read_text())["measured_on"] == "cpu"
    assert call(*TRAIN, "--out", "auto", "--device", "cpu").code == 0, "the option is no part of what the run is"


if torch.cuda.is_available():  # nothing is collected on a machine without a card

    def test_a_card_gives_the_processor_s_image(call, photo: Path, tmp_path: Path) -> None:
        for name in ("cpu", "cuda:0"):
            out = tmp_path / name.partition(":")[0]
            command = ["upscale", photo, "-o", out / "photo.png", "--model", MODEL, "--precision", "float32"]
            assert call(*command, "--device", name).code == 0
        on_cpu, on_card = (np.asarray(Image.open(tmp_path / name / "photo.png")) for name in ("cpu", "cuda"))
        assert np.abs(on_cpu.astype(int) - on_card).max() <= 1

    def test_a_card_scores_like_the_processor(call, photo: Path, tmp_path: Path) -> None:
        found = []
        for name in ("cpu", "cuda:0"):
            done = call("evaluate", MODEL, "--data", photo.parent, "--scale", 2, "--json", "-", "--device", name)
            found.append(json.loads(done.out))
        assert found[1]["device"].startswith("cuda:0 (")
        for on_cpu, on_card in zip(found[0]["means"], found[1]["means"], strict=True):
            assert on_card["value"] == pytest.approx(on_cpu["value"], abs=1e-3)

    def test_a_card_trains_and_is_recorded(call, tmp_path: Path) -> None:
        assert call(*TRAIN, "--out", "out", "--device", "cuda:0").code == 0
        assert json.loads((tmp_path / "out" / "environment.json").read_text())["device"].startswith("cuda:0 (")
