"""`nitido doctor`, `--version` and shell completion, as users call them."""

import json
from importlib.metadata import version

import pytest

from nitido.base.device import available_devices
from nitido.evaluation.metrics import METRICS

TOPICS = ["versions", "hardware", "device", "training", "cache", "data", "ONNX", "Keras files", "metrics", "Graphviz"]
TOPICS += ["datasets", "bicubic", "PSNR", "kernels"]


def test_a_healthy_installation(nitido_process) -> None:
    done = nitido_process("doctor", "--json", "-")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["ok"]
    assert [check["topic"] for check in found["checks"]] == TOPICS
    states = {check["topic"]: check["state"] for check in found["checks"]}
    assert states["bicubic"] == states["PSNR"] == "ok"
    assert "failed" not in states.values()
    device = next(check["message"] for check in found["checks"] if check["topic"] == "device")
    assert device.startswith("auto takes ")
    assert device.endswith(f"; available: {', '.join(available_devices())}")
    assert "samples" in next(check["message"] for check in found["checks"] if check["topic"] == "datasets")


def test_a_cache_that_cannot_be_used_is_a_failure(
    nitido, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(environment, "NITIDO_CACHE", "/proc/no-such-folder")
    done = nitido("doctor", "--json", "-")
    found = json.loads(done.out)
    assert done.code == 1
    assert not found["ok"]
    (failed,) = (check for check in found["checks"] if check["state"] == "failed")
    assert failed["topic"] == "cache"


def test_the_table_says_what_to_install(nitido, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(environment, "PATH", "")
    done = nitido("doctor")
    assert done.code == 0, done.err
    assert "install Graphviz" in done.out


def test_the_version(nitido_process) -> None:
    done = nitido_process("--version")
    assert (done.code, done.out, done.err) == (0, f"nitido {version('nitido')}\n", "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nitido ev", {"evaluate"}),
        ("nitido evaluate bic", {"bicubic"}),
        ("nitido evaluate edsr-x", {"edsr-x2", "edsr-x4"}),
        ("nitido study run sr", {"srcnn", "srgan", "srresnet"}),
        ("nitido train vd", {"vdsr"}),
        ("nitido data fetch bsds", {"bsds200", "bsds200_test"}),
        ("nitido evaluate bicubic --metric psn", {"psnr_y", "psnr_rgb"} & set(METRICS)),
        ("nitido upscale a.png --model rdn", {"rdn-x2"}),
    ],
)
def test_a_shell_completes(
    nitido, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, line: str, expected: set[str]
) -> None:
    words = line.split()
    asked = {"_NITIDO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    for name, value in asked.items():
        monkeypatch.setitem(environment, name, value)
    done = nitido()
    assert set(done.out.split()) == expected, done.err
