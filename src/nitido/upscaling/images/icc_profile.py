"""Creates ICC profiles from primaries and a transfer curve, and reads the color space of profiles."""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Chromaticity = tuple[float, float]
"""CIE 1931 x and y."""

ToneCurve = tuple[float, ...]
"""The exponent g of y = x^g, or g, a, b, c, d of y = (a·x + b)^g for x ≥ d, y = c·x below (ICC.1:2010, 10.16)."""

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_HEADER, _ENTRY = 128, 12


def rgb_profile(name: str, white: Chromaticity, primaries: Sequence[Chromaticity], curve: ToneCurve) -> bytes:
    """Return an ICC profile (version 4.3) of an RGB space with red, green and blue `primaries` and one curve for all.

    Colorants are adapted from `white` to D50 by Bradford's transform (ICC.1:2010, annex E).
    """
    columns = np.array([_xyz(primary) for primary in primaries]).T
    matrix = columns * np.linalg.solve(columns, _xyz(white))
    adaptation = _adaptation(white)
    colorants = (adaptation @ matrix).T
    tags = _common(name, adaptation)
    for letter, colorant in zip((b"r", b"g", b"b"), colorants, strict=True):
        tags[letter + b"XYZ"] = _numbers(b"XYZ ", colorant)
        tags[letter + b"TRC"] = _curve(curve)
    return _profile(b"RGB ", tags)


def grey_profile(name: str, white: Chromaticity, curve: ToneCurve) -> bytes:
    """Return an ICC profile (version 4.3) of gray with a transfer curve."""
    return _profile(b"GRAY", {**_common(name, _adaptation(white)), b"kTRC": _curve(curve)})


def profile_channels(profile: bytes) -> int | None:
    """Return the number of channels of an ICC profile's color space: gray, RGB or CMYK; None for others.

    >>> profile_channels(b"no profile")
    """
    (size,) = struct.unpack_from(">I", profile.ljust(4, b"\0"))
    if len(profile) <= _HEADER or size > len(profile) or profile[36:40] != b"acsp":
        return None
    return {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}.get(profile[16:20])


def _xyz(chromaticity: Chromaticity) -> npt.NDArray[np.float64]:
    x, y = chromaticity
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adaptation(white: Chromaticity) -> npt.NDArray[np.float64]:
    """Return the matrix that adapts XYZ from `white` to D50."""
    gains = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ _xyz(white))
    adapted: npt.NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
    return adapted


def _numbers(kind: bytes, values: npt.ArrayLike) -> bytes:
    fixed = [round(float(value) * 65536) for value in np.ravel(values)]
    return kind + bytes(4) + struct.pack(f">{len(fixed)}i", *fixed)


def _curve(curve: ToneCurve) -> bytes:
    kind = {1: 0, 5: 3}[len(curve)]
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _numbers(b"", curve)[4:]


def _text(text: str) -> bytes:
    coded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(coded), 28) + coded


def _common(name: str, adaptation: npt.NDArray[np.float64]) -> dict[bytes, bytes]:
    return {
        b"desc": _text(name),
        b"cprt": _text("No copyright"),
        b"wtpt": _numbers(b"XYZ ", _D50),
        b"chad": _numbers(b"sf32", adaptation),
    }


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return header, table and contents (ICC.1:2010, 7.2 and 7.3). Equal contents are stored once."""
    place = _HEADER + 4 + _ENTRY * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    places: dict[bytes, int] = {}
    for signature, content in tags.items():
        if content not in places:
            places[content] = place + len(body)
            body += content + bytes(-len(content) % 4)
        table += signature + struct.pack(">II", places[content], len(content))
    header = struct.pack(">I4xI4s4s4s", place + len(body), 0x04300000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += _numbers(b"", _D50)[4:]
    return header.ljust(_HEADER, b"\0") + table + body
