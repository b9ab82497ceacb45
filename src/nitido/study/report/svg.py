"""Draw charts as inline SVG: elements, axes and tick positions. Colors come from the CSS of the page."""

import math
from dataclasses import dataclass

from markupsafe import Markup, escape


def element(tag: str, *content: str, **attributes: object) -> Markup:
    """Return an SVG element; text and values are escaped, `class_` becomes `class`, and `_` in names becomes `-`.

    >>> element("text", "a < b", x=3, text_anchor="end", class_="tick")
    Markup('<text x="3" text-anchor="end" class="tick">a &lt; b</text>')
    """
    words = [f' {name.rstrip("_").replace("_", "-")}="{escape(_short(value))}"' for name, value in attributes.items()]
    inside = "".join(escape(part) for part in content)
    return Markup(f"<{tag}{''.join(words)}>{inside}</{tag}>")


def drawing(width: float, height: float, label: str, *content: str) -> Markup:
    """Return a whole drawing; `label` is its text for screen readers."""
    size = f"0 0 {_short(width)} {_short(height)}"
    return element("svg", *content, viewBox=size, role="img", aria_label=label)


def _short(value: object) -> object:
    """Round coordinates to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


@dataclass(frozen=True)
class Axis:
    """Map from values to pixels: `low` to `start`, `high` to `end`; logarithmic if `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the position of `value`, which may be outside the axis."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / ((high - low) or 1.0) * (self.end - self.start)

    def inside(self, value: float) -> bool:
        """Return whether `value` is between the ends."""
        return self.low <= value <= self.high

    def ticks(self, count: int) -> list[float]:
        """Return about `count` round values."""
        return log_ticks(self.low, self.high, count) if self.log else ticks(self.low, self.high, count)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round values between `low` and `high`.

    >>> ticks(0.0, 1.0, 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / max(count, 1)
    if not rough > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(place * step, digits) for place in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Return at most `count` values 1, 2 or 5 times a power of ten; `ticks` if there are fewer than two.

    >>> log_ticks(900.0, 120_000.0, 4)
    [1000.0, 10000.0, 100000.0]
    """
    for mantissas in ((1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [m * 10.0**p for p in powers for m in mantissas if low <= m * 10.0**p <= high]
        if len(found) <= count:
            break
    return found if len(found) > 1 else [value for value in ticks(low, high, count) if value > 0]
