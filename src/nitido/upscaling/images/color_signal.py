"""Color spaces that a file specifies without an ICC profile: PNG chunks, AVIF code points."""

import struct
from dataclasses import dataclass, replace

from nitido.upscaling.images.icc_profile import Chromaticity, ToneCurve, grey_profile, rgb_profile
from nitido.upscaling.images.png_chunks import COLOR_CHUNKS

_D65 = (0.3127, 0.3290)
_UNSPECIFIED = 2
_BT709, _SRGB = 1, 13

_PRIMARIES: dict[int, tuple[str, tuple[Chromaticity, ...]]] = {
    1: ("BT.709", (_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))),
    4: ("BT.470 M", ((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08))),
    5: ("BT.470 BG", (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: ("SMPTE 170M", (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    7: ("SMPTE 240M", (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    8: ("generic film", ((0.310, 0.316), (0.681, 0.319), (0.243, 0.692), (0.145, 0.049))),
    9: ("BT.2020", (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    11: ("DCI-P3", ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    12: ("Display P3", (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
    22: ("EBU 3213", (_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077))),
}
"""Name, and white, red, green and blue, by code point (ITU-T H.273, table 2)."""

_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES: dict[int, ToneCurve] = {
    1: _BT709_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: _BT709_CURVE,
    8: (1.0,),
    13: _SRGB_CURVE,
    14: _BT709_CURVE,
    15: _BT709_CURVE,
}
"""Transfer curves by code point (ITU-T H.273, table 3)."""

_WITHOUT_PROFILE = {16: "PQ", 18: "HLG"}
_GAMMA_OF_SRGB = (0.4500, 0.4600)  # 45455 means sRGB's curve (PNG 3rd edition, section 11.3.2.5)
_SAME = 0.0015  # maximum difference of equal chromaticities


@dataclass(frozen=True)
class ColorSignal:
    """A color space without an ICC profile, in its possible representations.

    Attributes:
        name: For messages, as "Display P3".
        icc_profile: An equivalent profile; None for sRGB, or if no profile can express it.
        code_points: Primaries and transfer function of ITU-T H.273; None if another representation is used.
        png_chunks: The chunks that specified it in a PNG.
    """

    name: str
    icc_profile: bytes | None = None
    code_points: tuple[int, int] | None = None
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def chunks(self) -> tuple[tuple[bytes, bytes], ...]:
        """Equivalent PNG chunks; none if the ICC profile is used."""
        if self.png_chunks or self.code_points is None:
            return self.png_chunks
        return ((b"cICP", bytes([*self.code_points, 0, 1])),)


def png_color_signal(chunks: dict[bytes, bytes], channels: int) -> ColorSignal | None:
    """Return the color space in the chunks of a PNG with 1 (gray) or 3 `channels`; None if there are none."""
    said = tuple((kind, content) for kind, content in chunks.items() if kind in COLOR_CHUNKS)
    if not said:
        return None
    points = chunks.get(b"cICP", b"")
    signal = code_point_signal(points[0], points[1], channels) if len(points) == 4 else None
    if signal is not None:
        return replace(signal, png_chunks=said)
    if b"sRGB" in chunks:
        return ColorSignal("sRGB", png_chunks=said)
    return ColorSignal(*_by_gamma_and_primaries(chunks, channels), png_chunks=said)


def code_point_signal(primaries: int, transfer: int, channels: int) -> ColorSignal | None:
    """Return the color space of two code points of ITU-T H.273 for an image of 1 (gray) or 3 `channels`.

    The result is None if both are unspecified. If one is unspecified, it is that of sRGB.
    """
    if primaries == transfer == _UNSPECIFIED:
        return None
    primaries = _BT709 if primaries == _UNSPECIFIED else primaries
    transfer = _SRGB if transfer == _UNSPECIFIED else transfer
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        space = _PRIMARIES.get(primaries, (f"primaries {primaries}",))[0]
        curve = _WITHOUT_PROFILE.get(transfer, f"transfer function {transfer}")
        unknown_curve = transfer not in _CURVES
        return ColorSignal(f"{space} {curve}" if unknown_curve else space, code_points=(primaries, transfer))
    name, corners = _PRIMARIES[primaries]
    if (primaries, transfer) == (_BT709, _SRGB):
        return ColorSignal("sRGB")
    if transfer != _SRGB:
        name = f"{name}, curve {transfer} of H.273"
    return ColorSignal(name, _profile(name, corners, _CURVES[transfer], channels))


def _by_gamma_and_primaries(chunks: dict[bytes, bytes], channels: int) -> tuple[str, bytes | None]:
    """Return name and profile for gAMA and cHRM. Missing or invalid values are those of sRGB."""
    name, (_, corners) = "sRGB", _PRIMARIES[_BT709]
    curve: ToneCurve = _SRGB_CURVE
    exponent = struct.unpack(">I", chunks[b"gAMA"])[0] / 100_000 if len(chunks.get(b"gAMA", b"")) == 4 else 0.0
    if exponent > 0.01 and not _GAMMA_OF_SRGB[0] <= exponent <= _GAMMA_OF_SRGB[1]:
        curve, name = (1 / exponent,), f"gamma {1 / exponent:.4g}"
    if len(chunks.get(b"cHRM", b"")) == 32 and channels == 3:
        numbers = [number / 100_000 for number in struct.unpack(">8I", chunks[b"cHRM"])]
        said = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        if not _equal(said, corners) and _spans_a_triangle(said):
            known = [space for space, its in _PRIMARIES.values() if _equal(said, its)]
            corners, name = said, f"{known[0] if known else 'custom primaries'}, {name}"
    return name, None if name == "sRGB" else _profile(name, corners, curve, channels)


def _equal(a: tuple[Chromaticity, ...], b: tuple[Chromaticity, ...]) -> bool:
    return all(abs(p[0] - q[0]) <= _SAME and abs(p[1] - q[1]) <= _SAME for p, q in zip(a, b, strict=True))


def _spans_a_triangle(corners: tuple[Chromaticity, ...]) -> bool:
    """Return whether three primaries (after a white) are valid: not collinear, and not at y = 0."""
    _, (rx, ry), (gx, gy), (bx, by) = corners
    area = abs((gx - rx) * (by - ry) - (bx - rx) * (gy - ry))
    return area > 1e-3 and min(y for _, y in corners) > 1e-3


def _profile(name: str, corners: tuple[Chromaticity, ...], curve: ToneCurve, channels: int) -> bytes | None:
    white, *primaries = corners
    if channels == 1:
        return None if curve == _SRGB_CURVE else grey_profile(name, white, curve)
    return rgb_profile(name, white, primaries, curve)
