"""How much the pictures of a batch grow at most."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from nitido.base.errors import NitidoError
from nitido.upscaling.images.read import read_header
from nitido.upscaling.images.target_size import TargetSize


def largest_factor(target: TargetSize, sources: Iterable[Path]) -> float | None:
    """The largest enlargement that `target` means for one of the `sources`; None when it leaves it to the model.

    Pictures that cannot be read or do not fit the target count for nothing here: who enlarges them tells.
    """
    if target == TargetSize() or target.scale is not None:
        return target.scale
    factors = [1.0]
    for source in sources:
        with suppress(NitidoError, OSError):
            header = read_header(source)
            height, width = target.of(header.height, header.width, None)
            factors.append(max(height / header.height, width / header.width))
    return max(factors)
