"""The size of an upscaled image."""

from dataclasses import dataclass
from math import ceil

from nitido.base.errors import NitidoError

LARGEST_FACTOR = 16
"""Maximum scale, beyond which a network would invent everything."""


class UpscaleError(NitidoError):
    """An image cannot be upscaled as requested."""


@dataclass(frozen=True)
class TargetSize:
    """A scale, or a width or height in pixels with the aspect ratio preserved; at most one of them.

    Without any of them, it is the model's own scale. Raises `UpscaleError` if several are given or one is impossible.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("scale", "width", "height") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UpscaleError(f"{' and '.join(given)} exclude each other: specify only one of them")
        if self.scale is not None and not 1 < self.scale <= LARGEST_FACTOR:
            raise UpscaleError(f"scale {self.scale:g}: it must be greater than 1 and at most {LARGEST_FACTOR}")

    def of(self, height: int, width: int, own_scale: int | None) -> tuple[int, int]:
        """Return the (height, width) of the result for an image of `height` × `width`.

        `own_scale` is the model's scale, None if it has none.

        >>> TargetSize(width=400).of(150, 100, 2)
        (600, 400)
        """
        if self.width is not None:
            factor = self._checked(self.width, width, "wide")
            return round(height * factor), self.width
        if self.height is not None:
            factor = self._checked(self.height, height, "high")
            return self.height, round(width * factor)
        scale = self.scale or own_scale
        if scale is None:
            raise UpscaleError("bicubic has no scale of its own: specify the size, e.g. scale 2")
        return ceil(height * scale - 1e-9), ceil(width * scale - 1e-9)

    def _checked(self, wanted: int, given: int, which: str) -> float:
        if not 1 < wanted / given <= LARGEST_FACTOR:
            raise UpscaleError(
                f"the image is {given} pixels {which}: the result may have {given + 1} to {LARGEST_FACTOR * given}, "
                f"not {wanted}"
            )
        return wanted / given
