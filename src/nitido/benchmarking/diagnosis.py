"""Diagnose hardware and installation, and test protocol and kernels."""

import math
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch

from nitido.architectures import build, resolve_config
from nitido.base.device import available_devices, choose_device, device_label
from nitido.base.errors import NitidoError
from nitido.base.folders import cache_root, data_root
from nitido.data import DATASETS
from nitido.evaluation.metrics import METRICS, psnr
from nitido.imaging import bicubic_downscale, bicubic_upscale, crop_to_multiple
from nitido.kernels import AcceleratedNetwork, KernelsUnavailableError, load
from nitido.models.bfloat16 import has_fast_bfloat16
from nitido.models.onnx.packages import missing_packages
from nitido.study.environment import processor_name
from nitido.training.fast_path import describe_machine
from nitido.training.memory.available import available_memory

_MARGIN = 2
"""LR pixels at the end of an excerpt whose upscaled values depend on pixels outside of it."""


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis.

    Attributes:
        topic: What was checked.
        state: "ok"; "absent" for something optional that is missing; "failed" for a defect.
        message: The result, and for something absent what to do.
    """

    topic: str
    state: str
    message: str


@dataclass(frozen=True)
class Diagnosis:
    """All checks, in display order."""

    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that found a defect."""
        return tuple(check for check in self.checks if check.state == "failed")

    def as_json(self) -> dict[str, Any]:
        """Return the checks as plain data."""
        return {"ok": not self.failed, "checks": [asdict(check) for check in self.checks]}


def diagnose() -> Diagnosis:
    """Check machine, optional packages and data, and test protocol and kernels; takes about two seconds."""
    return Diagnosis(
        (
            _versions(),
            *_hardware(),
            *_folders(),
            *_optional_parts(),
            _datasets(),
            _tested("bicubic", _check_bicubic),
            _tested("PSNR", _check_psnr),
            _check_kernels(),
        )
    )


def _versions() -> Check:
    return Check(
        "versions",
        "ok",
        f"nitido {version('nitido')}, Python {platform.python_version()}, PyTorch {torch.__version__}",
    )


def _hardware() -> list[Check]:
    device = choose_device()
    memory = available_memory(torch.device("cpu"))
    amount = f"{memory / 2**30:.1f} GiB of memory available" if memory is not None else "memory unknown"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        Check("hardware", "ok", f"{processor_name()}, {cores} cores, {amount}"),
        Check("device", "ok", f"auto takes {device_label(device)}; available: {', '.join(available_devices())}"),
        Check("training", "ok", describe_machine(device)),
    ]


def _folders() -> list[Check]:
    checks = []
    for topic, root in (("cache", cache_root), ("data", data_root)):
        try:
            folder = root()
        except NitidoError as error:
            checks.append(Check(topic, "failed", str(error)))
            continue
        try:
            with TemporaryFile(dir=next(path for path in (folder, *folder.parents) if path.exists())):
                checks.append(Check(topic, "ok", str(folder)))
        except OSError as error:
            remedy = f"set NITIDO_{topic.upper()} to another folder"
            checks.append(Check(topic, "failed", f"{folder}: cannot be written ({error.strerror}): {remedy}"))
    return checks


def _optional_parts() -> list[Check]:
    onnx = missing_packages()
    weights = missing_packages(["h5py"])
    metrics = {name: metric.missing() for name, metric in METRICS.items()}
    absent = [f"{name}: {reason}" for name, reason in metrics.items() if reason is not None]
    dot = shutil.which("dot")
    return [
        _part("ONNX", not onnx, "export, and the backend ONNX Runtime", "pip install 'nitido[onnx]'"),
        _part("Keras files", not weights, "import of .h5 and .keras", "pip install 'nitido[import]'"),
        Check(
            "metrics", "absent" if absent else "ok", "; ".join(absent) or f"all {len(metrics)}: {', '.join(metrics)}"
        ),
        _part("Graphviz", dot is not None, "the detailed graph of a network", "install Graphviz (its program dot)"),
    ]


def _part(topic: str, present: bool, purpose: str, remedy: str) -> Check:
    return Check(topic, "ok" if present else "absent", purpose if present else f"{purpose}: {remedy}")


def _datasets() -> Check:
    present = [name for name, entry in DATASETS.items() if entry.is_complete()]
    others = [name for name in DATASETS if name not in present]
    message = f"present: {', '.join(present)}" + (f"; absent: {', '.join(others)}" if others else "")
    return Check("datasets", "absent" if others else "ok", message)


def _tested(topic: str, test: Callable[[], str]) -> Check:
    try:
        return Check(topic, "ok", test())
    except AssertionError as error:
        return Check(topic, "failed", str(error))


def _check_bicubic() -> str:
    """Compare with excerpts of what MATLAB's imresize makes of the top left corner of an image, for ×2, ×3 and ×4."""
    path = files("nitido.benchmarking") / "matlab_excerpts.npz"
    with path.open("rb") as file, np.load(file) as excerpts:
        hr = excerpts["hr"]
        for scale in (2, 3, 4):
            small, large = excerpts[f"small_x{scale}"], excerpts[f"large_x{scale}"]
            side = len(small)
            corner = slice((side - _MARGIN) * scale)
            downscaled = bicubic_downscale(crop_to_multiple(hr, scale), scale)[:side, :side]
            upscaled = bicubic_upscale(small, scale)[corner, corner]
            for name, found, expected in (("downscaling", downscaled, small), ("upscaling", upscaled, large)):
                if not np.array_equal(found, expected):
                    raise AssertionError(
                        f"{name} ×{scale} differs from MATLAB's imresize: figures of this machine are not comparable"
                    )
    return "equals MATLAB's imresize bit for bit (downscaling and upscaling ×2, ×3, ×4)"


def _check_psnr() -> str:
    """Compare with the definition: 20 log10(255 / rmse), with a root mean square error of 5."""
    flat = np.full((32, 32), 100, dtype=np.uint8)
    found, expected = psnr(flat + np.uint8(5), flat, 2), 20 * math.log10(255 / 5)
    if abs(found - expected) > 1e-9:
        raise AssertionError(f"{found} dB for an error of 5 gray levels instead of {expected} dB")
    return f"{found:.2f} dB for an error of 5 gray levels, as defined"


def _check_kernels() -> Check:
    """Compare the kernels of this processor with PyTorch in float32, on a small network."""
    if not has_fast_bfloat16(torch.device("cpu")):
        return Check("kernels", "absent", "this processor does not multiply bfloat16 in hardware: PyTorch is used")
    network = build("edsr", resolve_config("edsr", "compact", {"blocks": 2})).eval()
    lr = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    started = time.perf_counter()
    try:
        kernels = load()
    except KernelsUnavailableError as error:
        return Check("kernels", "absent", f"{error}: PyTorch is used")
    with torch.inference_mode():
        expected = network(lr)
        with torch.autocast("cpu", torch.bfloat16):
            accelerated = AcceleratedNetwork(network, kernels)
            found = accelerated(lr).float()
    deviation = (found - expected).abs().max().item()
    limit = 0.02 * (expected.max() - expected.min()).item()  # bfloat16 keeps 8 bits
    seconds = time.perf_counter() - started
    name = f"{kernels.source.name}, {accelerated.replaced_layers} layers replaced"
    if not deviation <= limit:
        return Check("kernels", "failed", f"{name}: {deviation:.3g} away from PyTorch: train with --set compile=false")
    return Check("kernels", "ok", f"{name}: agree with PyTorch within bfloat16 ({seconds:.1f} s)")


def describe(checks: Sequence[Check]) -> list[list[str]]:
    """Return the checks as lines of a table."""
    return [[check.topic, check.state, check.message] for check in checks]
