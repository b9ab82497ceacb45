"""Just enough to draw a chart as inline SVG: elements, axes and where their ticks stand. Colours are the page's CSS."""

import math
from dataclasses import dataclass

from markupsafe import Markup, escape


def element(tag: str, *content: str, **attributes: object) -> Markup:
    """An SVG element; text and values are escaped, `class_` is `class`, and `_` in a name is `-`.

    >>> element("text", "a < b", x=3, text_anchor="end", class_="tick")
    Markup('<text x="3" text-anchor="end" class="tick">a &lt; b</text>')
    """
    words = [f' {name.rstrip("_").replace("_", "-")}="{escape(_short(value))}"' for name, value in attributes.items()]
    inside = "".join(escape(part) for part in content)
    return Markup(f"<{tag}{''.join(words)}>{inside}</{tag}>")


def drawing(width: float, height: float, label: str, *content: str) -> Markup:
    """A whole picture; `label` is what a screen reader says of it."""
    size = f"0 0 {_short(width)} {_short(height)}"
    return element("svg", *content, viewBox=size, role="img", aria_label=label)


def _short(value: object) -> object:
    """Coordinates to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


@dataclass(frozen=True)
class Axis:
    """From values to pixels: `low` lies at `start`, `high` at `end`; logarithmic where `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where `value` lies; beyond the ends when it does."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / ((high - low) or 1.0) * (self.end - self.start)

    def inside(self, value: float) -> bool:
        """Whether `value` lies between the ends."""
        return self.low <= value <= self.high

    def ticks(self, count: int) -> list[float]:
        """About `count` round values."""
        return log_ticks(self.low, self.high, count) if self.log else ticks(self.low, self.high, count)


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round values between `low` and `high`.

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
    """At most `count` values 1, 2 or 5 times a power of ten; evenly spread ones where there are fewer than two.

    >>> log_ticks(900.0, 120_000.0, 4)
    [1000.0, 10000.0, 100000.0]
    """
    for mantissas in ((1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [m * 10.0**p for p in powers for m in mantissas if low <= m * 10.0**p <= high]
        if len(found) <= count:
            break
    return found if len(found) > 1 else [value for value in ticks(low, high, count) if value > 0]
