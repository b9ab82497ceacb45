"""`nitido doctor`, `--version` and shell completion, as users call them."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def test_a_cache_that_cannot_be_used_is_a_failure(nitido_process, environment: dict[str, str]) -> None:
    done = nitido_process("doctor", "--json", "-", env=environment | {"NITIDO_CACHE": "/proc/no-such-folder"})
    found = json.loads(done.out)
    assert done.code == 1
    assert not found["ok"]
    (failed,) = (check for check in found["checks"] if check["state"] == "failed")
    assert failed["topic"] == "cache"


def test_the_table_tells_what_to_install(nitido_process, environment: dict[str, str]) -> None:
    done = nitido_process("doctor", env=environment | {"PATH": ""})
    assert done.code == 0, done.err
    assert "install Graphviz" in done.out


def test_the_excerpts_are_matlabs(shared: Path) -> None:
    """The numbers that ship are those of MATLAB's pictures."""
    source = Path(sys.modules["nitido"].__path__[0]) / "benchmarking" / "matlab_excerpts.npz"
    with np.load(source) as excerpts:
        for scale in (2, 3, 4):
            with Image.open(shared / f"golden/matlab_bicubic_down_up/x{scale}/butterfly.bmp") as image:
                large = np.asarray(image.convert("RGB"))
            with Image.open(shared / f"golden/matlab_bicubic_down/x{scale}/butterfly.png") as image:
                small = np.asarray(image.convert("RGB"))
            np.testing.assert_array_equal(excerpts[f"small_x{scale}"], small[12:26, 12:26])
            inside = slice(15 * scale, 23 * scale)
            np.testing.assert_array_equal(excerpts[f"large_x{scale}"], large[inside, inside])


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
def test_a_shell_completes(environment: dict[str, str], line: str, expected: set[str]) -> None:
    words = line.split()
    asked = {"_NITIDO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "nitido"], env=environment | asked, capture_output=True, text=True, check=False
    )
    assert set(done.stdout.split()) == expected, done.stderr
