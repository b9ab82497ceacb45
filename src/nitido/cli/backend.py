"""What `--backend` means for a model."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nitido.errors import NitidoError

if TYPE_CHECKING:
    from nitido.architectures import SuperResolutionNetwork


def network_backend(
    backend: str | None, model: str, sources: Sequence[Path], memory: int
) -> "Callable[[SuperResolutionNetwork], SuperResolutionNetwork] | None":
    """What makes of the network of `model` the one that is run; None where it is run as it is.

    `auto` tries on a piece of the first of the pictures `sources` that can be read, and tells its choice on standard
    error. Raises `NitidoError` for an unknown backend, and for one that cannot run `model`.
    """
    from nitido.inference.backends import AUTO, check_name, choose, prepare
    from nitido.inference.onnx import SUFFIX
    from nitido.inference.pieces import piece_size
    from nitido.inference.upscaler import BICUBIC

    if backend is None:
        return None
    check_name(backend)
    if model == BICUBIC:
        raise NitidoError(f"--backend {backend}: {BICUBIC} is no network: leave the option out")
    if Path(model).suffix.lower() == SUFFIX:
        if backend == "torch":
            raise NitidoError(
                f"--backend torch: {model} is for ONNX Runtime: leave the option out, or take the model file"
            )
        return None
    if backend != AUTO:
        return lambda network: prepare(network, backend)

    def fastest(network: "SuperResolutionNetwork") -> "SuperResolutionNetwork":
        choice = choose(network, *piece_size(network, *_first_size(sources), memory))
        typer.echo(str(choice), err=True)
        return choice.network

    return fastest


def _first_size(sources: Sequence[Path]) -> tuple[int, int]:
    """Height and width of the first picture that can be read; those that cannot are told of when their turn comes."""
    from nitido.inference.pictures import read_header

    for source in sources:
        with suppress(NitidoError, OSError):
            header = read_header(source)
            return header.height, header.width
    return 1, 1
