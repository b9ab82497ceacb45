"""Resolve `--backend` for a model."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nitido.base.errors import NitidoError
from nitido.cli.console import note

if TYPE_CHECKING:
    import torch

    from nitido.architectures import SuperResolutionNetwork
    from nitido.models.bfloat16 import Precision


def device_of_backend(device: str | None, backend: str | None, model: str) -> "torch.device":
    """Return where `model` runs; ONNX Runtime runs on the processor, and another `device` for it is refused."""
    from nitido.base.device import AUTO, CPU, choose_device
    from nitido.models.onnx import SUFFIX
    from nitido.upscaling.upscaler import BICUBIC

    chosen = choose_device(device or AUTO)
    if model == BICUBIC:
        return CPU
    if backend != "onnx" and Path(model).suffix.lower() != SUFFIX:
        return chosen
    if device not in (None, AUTO) and chosen != CPU:
        raise NitidoError(f"--device {device}: ONNX Runtime runs on the processor: leave the option out")
    return CPU


def network_backend(
    backend: str | None,
    model: str,
    sources: Sequence[Path],
    memory: int,
    precision: "Precision",
    device: "torch.device",
) -> "Callable[[SuperResolutionNetwork, bool], SuperResolutionNetwork] | None":
    """Return a function that prepares the network of `model` for the backend; None if it is used unchanged.

    `auto` measures on a tile of the first readable image of `sources` and prints its choice on standard error. Raises
    `NitidoError` for an unknown backend, and for one that cannot run `model`, or not in `precision`.
    """
    from nitido.models.onnx import SUFFIX
    from nitido.upscaling.backends import AUTO, check_name, choose, prepare
    from nitido.upscaling.tiled_inference import tile_size
    from nitido.upscaling.upscaler import BICUBIC

    if backend is not None:
        check_name(backend)
    for_onnx = Path(model).suffix.lower() == SUFFIX
    if precision == "bfloat16" and for_onnx:
        raise NitidoError(
            f"--precision bfloat16: {model} is for ONNX Runtime, which computes in float32: leave the option out"
        )
    if precision == "bfloat16" and backend == "onnx":
        raise NitidoError(
            "--backend onnx --precision bfloat16: ONNX Runtime computes in float32: leave one of them out"
        )
    if backend is None:
        return None
    if model == BICUBIC:
        raise NitidoError(f"--backend {backend}: {BICUBIC} is not a network: leave the option out")
    if for_onnx:
        if backend == "torch":
            raise NitidoError(
                f"--backend torch: {model} is for ONNX Runtime: leave the option out, or take the model file"
            )
        return None
    if backend != AUTO:
        return lambda network, _: prepare(network, backend)
    if precision == "bfloat16":
        note("backend: torch, the only one that computes in bfloat16")
        return lambda network, _: prepare(network, "torch")

    if device.type != "cpu":
        note(f"backend: torch, which alone runs on {device}")
        return lambda network, _: prepare(network, "torch")

    def fastest(network: "SuperResolutionNetwork", bfloat16: bool) -> "SuperResolutionNetwork":
        choice = choose(network, *tile_size(network, *_first_size(sources), memory), bfloat16)
        note(choice)
        return choice.network

    return fastest


def _first_size(sources: Sequence[Path]) -> tuple[int, int]:
    """Return height and width of the first readable image; unreadable ones are reported when they are upscaled."""
    from nitido.upscaling.images import read_header

    for source in sources:
        with suppress(NitidoError, OSError):
            header = read_header(source)
            return header.height, header.width
    return 1, 1
