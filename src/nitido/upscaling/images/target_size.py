"""How large a picture shall become."""

from dataclasses import dataclass
from math import ceil

from nitido.base.errors import NitidoError

LARGEST_FACTOR = 16
"""Beyond it a network invents everything."""


class UpscaleError(NitidoError):
    """A picture cannot be enlarged as asked."""


@dataclass(frozen=True)
class TargetSize:
    """A factor, or a width or height in pixels with the proportions kept; at most one of them.

    None of them means the model's own factor. Raises `UpscaleError` when several are given or one is impossible.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("scale", "width", "height") if getattr(self, name) is not None]
        if len(given) > 1:
            raise UpscaleError(f"{' and '.join(given)} were given together: choose one of them")
        if self.scale is not None and not 1 < self.scale <= LARGEST_FACTOR:
            raise UpscaleError(f"scale {self.scale:g}: it must be more than 1 and at most {LARGEST_FACTOR}")

    def of(self, height: int, width: int, own_scale: int | None) -> tuple[int, int]:
        """(height, width) that a picture of `height` × `width` becomes; `own_scale` is the model's, None: any.

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
            raise UpscaleError("bicubic has no scale of its own: say how large, e.g. scale 2")
        return ceil(height * scale - 1e-9), ceil(width * scale - 1e-9)

    def _checked(self, wanted: int, given: int, which: str) -> float:
        if not 1 < wanted / given <= LARGEST_FACTOR:
            raise UpscaleError(
                f"the picture is {given} pixels {which}: it can become {given + 1} to {LARGEST_FACTOR * given}, "
                f"not {wanted}"
            )
        return wanted / given
