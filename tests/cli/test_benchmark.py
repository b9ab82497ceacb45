"""`nitido benchmark`: its JSON, and that its figures agree with each other. Speeds are not tested."""

import json
from pathlib import Path
from statistics import median

import pytest

from nitido.architectures import build, resolve_config
from nitido.inspection import count_macs
from nitido.models import ModelDescriptor, save_model

WHERE = {"device", "processor", "threads", "torch", "spread", "notes"}


def test_train(nitido, tmp_path: Path) -> None:
    done = nitido(
        *("benchmark", "train", "edsr", "--variant", "debug"),
        *("--batch", 2, "--patch", 12, "--rounds", 2, "--json", "-"),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found) == WHERE | {
        *("architecture", "variant", "scale", "batch", "patch", "step_seconds", "speedup", "gflops", "peak_gflops"),
        *(
            "share_of_peak",
            "trainer_overhead",
            "gflop_per_step",
            "precision",
            "compiled",
            "kernels",
            "rounds",
            "steps_per_round",
            "round_seconds",
        ),
    }
    assert (found["architecture"], found["variant"], found["batch"], found["patch"]) == ("edsr", "debug", 2, 12)
    seconds, peaks = found["step_seconds"], found["peak_gflops"]
    assert {name: len(seconds_of) for name, seconds_of in found["round_seconds"].items()} == dict.fromkeys(seconds, 2)
    assert seconds == {name: pytest.approx(median(seconds_of)) for name, seconds_of in found["round_seconds"].items()}
    assert found["spread"] == pytest.approx(max(max(t) / min(t) - 1 for t in found["round_seconds"].values()))
    assert set(seconds) == {"nitido", "plain_float32", "bare"}
    assert set(peaks) == {"float32", "bfloat16"}
    assert min(*seconds.values(), *peaks.values()) > 0
    assert found["speedup"] == pytest.approx(seconds["plain_float32"] / seconds["nitido"])
    assert found["trainer_overhead"] == pytest.approx(seconds["nitido"] / seconds["bare"] - 1)
    network = build("edsr", resolve_config("edsr", "debug", {}))
    assert found["gflop_per_step"] == pytest.approx(2 * 3 * 2 * count_macs(network, 12, 12) / 1e9)
    assert found["gflops"] == pytest.approx(found["gflop_per_step"] / seconds["nitido"])
    assert found["share_of_peak"] == pytest.approx(found["gflops"] / peaks[found["precision"]])
    assert list(tmp_path.iterdir()) == [], "the training leaves nothing behind"


def test_data(nitido, tmp_path: Path) -> None:
    target = tmp_path / "data.json"
    done = nitido(
        *("benchmark", "data", "--data", "samples/validation"),
        *("--batch", 2, "--patch", 12, "--rounds", 1, "--json", target),
    )
    assert done.code == 0, done.err
    assert "PNG by Pillow" in done.out
    found = json.loads(target.read_text())
    assert set(found) == WHERE | {
        *("data", "pictures", "scale", "batch", "patch", "crops_per_second", "opponent", "speedup", "shares", "rounds")
    }
    assert (found["data"], found["pictures"]) == (["samples/validation"], 4)
    rates = found["crops_per_second"]
    assert set(rates) == {"packed", "pillow", "libvips"}
    assert rates[found["opponent"]] == max(rates["pillow"], rates["libvips"])
    assert found["speedup"] == pytest.approx(rates["packed"] / rates[found["opponent"]])
    assert [share["study"] for share in found["shares"]] == ["srcnn", "vdsr"]  # `quick_measurements` says so
    for share in found["shares"]:
        assert share["share"] == pytest.approx(share["batch_seconds"] / share["step_seconds"])


def test_upscale(nitido, tmp_path: Path) -> None:
    network = build("srcnn", resolve_config("srcnn", "debug", {"scale": 3}))
    model = tmp_path / "tiny.safetensors"
    save_model(model, network, ModelDescriptor.of(network, "srcnn", "tiny", {}, {}))
    done = nitido("benchmark", "upscale", model, "--megapixels", 0.02, "--rounds", 1, "--json", "-")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found) == WHERE | {
        *("model", "scale", "height", "width", "megapixels", "seconds_per_megapixel", "speedup", "rounds")
    }
    assert (found["model"], found["scale"]) == (str(model), 3)
    assert found["height"] % 3 == 0
    assert found["megapixels"] == pytest.approx(found["height"] * found["width"] / 1e6)
    assert found["megapixels"] == pytest.approx(0.02, rel=0.05)
    seconds = found["seconds_per_megapixel"]
    assert set(seconds) == {"nitido", "nitido_bfloat16", "plain_float32"}
    assert found["speedup"] == pytest.approx(seconds["plain_float32"] / seconds["nitido"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "esdr"], "unknown architecture 'esdr': did you mean 'edsr'"),
        (["train", "edsr", "--variant", "compct"], "did you mean 'compact'"),
        (["train", "srcnn", "--variant", "debug", "--patch", "500"], "patch 500 must be 1 to"),
        (["data", "--data", "sampels"], "unknown dataset 'sampels': did you mean 'samples'"),
        (["upscale", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_errors_are_one_line(call, args: list[str], message: str) -> None:
    done = call("benchmark", *args)
    assert done.code == 1
    assert message in done.error_line


@pytest.mark.parametrize("command", ["train", "data", "upscale"])
def test_help_has_an_example(call, command: str) -> None:
    done = call("benchmark", command, "--help")
    assert done.code == 0
    assert f"Example: nitido benchmark {command}" in done.out
