"""What AVIF has of its own: the brands that its files begin with, and samples of 10 or 12 bits."""

from typing import Any

import numpy as np
import numpy.typing as npt

STILL, MOVING = b"avif", b"avis"


def avif_brand(head: bytes) -> bytes | None:
    """Return whether a file that begins with `head` is a `STILL` or `MOVING` AVIF; None when it is neither."""
    if head[4:8] != b"ftyp":
        return None
    brands = [head[start : start + 4] for start in range(8, min(int.from_bytes(head[:4], "big"), len(head)), 4)]
    if brands[:1] == [MOVING]:
        return MOVING
    return STILL if STILL in brands else None


def spread_over_16_bits(samples: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint16]:
    """Map uint16 samples of `bits`, which libvips puts at the upper end of 16, to the full range of 16."""
    largest = (1 << bits) - 1
    return (((samples >> (16 - bits)).astype(np.uint32) * 65535 + largest // 2) // largest).astype(np.uint16)
