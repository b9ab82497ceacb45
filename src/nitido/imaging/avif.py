"""AVIF specifics: brands of files, and samples of 10 or 12 bits."""

from typing import Any

import numpy as np
import numpy.typing as npt

SINGLE, SEQUENCE = b"avif", b"avis"


def avif_brand(head: bytes) -> bytes | None:
    """Return the brand of a file that begins with `head`: `SINGLE`, `SEQUENCE`, or None if it is not an AVIF."""
    if head[4:8] != b"ftyp":
        return None
    brands = [head[start : start + 4] for start in range(8, min(int.from_bytes(head[:4], "big"), len(head)), 4)]
    if brands[:1] == [SEQUENCE]:
        return SEQUENCE
    return SINGLE if SINGLE in brands else None


def spread_over_16_bits(samples: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint16]:
    """Rescale uint16 samples of `bits`, which libvips stores in the upper bits, to the full range of 16 bits."""
    largest = (1 << bits) - 1
    return (((samples >> (16 - bits)).astype(np.uint32) * 65535 + largest // 2) // largest).astype(np.uint16)
