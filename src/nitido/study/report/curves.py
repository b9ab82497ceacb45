"""Draw the training curves of all runs, with a legend that shows and hides variants."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from nitido.base.number_text import number_text
from nitido.evaluation.metrics import METRICS, Metric
from nitido.study.report.svg import Axis, drawing, element

COLORS = 7
"""Number of line colors in the CSS, `c0` to `c6`; further lines repeat them with other dashes, `d1` to `d3`."""
DASHES = 4
WIDTHS = {"wide": 720.0, "narrow": 340.0}
"""Every chart is drawn for wide and narrow screens, so that the font size does not depend on the width."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 20.0, 10.0, 40.0
_OUTSIDE = 1000.0
"""Pixels that a line may leave its chart by, which are not shown."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """The validations of one run as (step, value); `chosen`: its learning rate is the chosen one of its variant."""

    variant: str
    learning_rate: float
    seed: int
    chosen: bool
    points: tuple[tuple[int, float], ...]

    @property
    def finite(self) -> list[tuple[int, float]]:
        """The finite points in the order of steps."""
        return sorted((step, value) for step, value in self.points if math.isfinite(value))


@dataclass(frozen=True)
class CurveChart:
    """All runs by one metric. `legend`: variants with their CSS classes; `silent`: runs without a finite point."""

    title: str
    images: dict[str, Markup]
    legend: tuple[tuple[str, str], ...]
    silent: tuple[str, ...]


def line_class(index: int) -> str:
    """Return the CSS classes for color and dash of the variant `index`.

    >>> line_class(0), line_class(8)
    ('c0 d0', 'c1 d1')
    """
    return f"c{index % COLORS} d{index // COLORS % DASHES}"


def curve_chart(
    curves: Sequence[Curve], metric: str, order: Sequence[str], crop: int | None = None
) -> CurveChart | None:
    """Return the chart of `metric`; None if no run has a finite validation. `order` determines the colors.

    `crop` is the side in pixels of the validated center of each image; None for whole images.
    """
    drawn = [curve for curve in curves if curve.finite]
    if not drawn:
        return None
    classes = {variant: line_class(index) for index, variant in enumerate(order)}
    shown = {curve.variant for curve in drawn}
    silent = [f"{c.variant} (lr {number_text(c.learning_rate)}, seed {c.seed})" for c in curves if not c.finite]
    return CurveChart(
        title=f"Validation during training: {METRICS[metric].label}"
        + (f", crop of {crop} px of each image" if crop else ""),
        images={name: _draw(drawn, metric, classes, width) for name, width in WIDTHS.items()},
        legend=tuple((variant, classes[variant]) for variant in order if variant in shown),
        silent=tuple(silent),
    )


def limits(curves: Sequence[Curve], *, higher_is_better: bool) -> tuple[float, float]:
    """Return the ends of the value axis: from a little below the worst final value to the best value.

    A bad first validation, or a run that diverged before its last one, must not flatten the rest.
    """
    lasts = [curve.finite[-1][1] for curve in curves]
    values = [value for curve in curves for _, value in curve.finite]
    if higher_is_better:
        best, worst = max(values), min(lasts)
        typical = sorted(lasts)[len(lasts) // 2]
        worst = max(worst, best - 4 * max(best - typical, 0.25 * abs(best - worst), 1e-6))
        return worst - 0.35 * max(best - worst, 1e-3), best + 0.05 * max(best - worst, 1e-3)
    mirrored = [
        Curve(c.variant, c.learning_rate, c.seed, c.chosen, tuple((s, -v) for s, v in c.finite)) for c in curves
    ]
    low, high = limits(mirrored, higher_is_better=True)
    return -high, -low


def _draw(curves: Sequence[Curve], metric: str, classes: dict[str, str], width: float) -> Markup:
    known = METRICS[metric]
    height = 360.0 if width > 500 else 280.0
    steps = [step for curve in curves for step, _ in curve.finite]
    across = Axis(min(steps), max(max(steps), min(steps) + 1), _LEFT, width - _RIGHT)
    low, high = limits(curves, higher_is_better=known.higher_is_better)
    up = Axis(low, high, height - _BOTTOM, _TOP)
    frame = "curves-" + metric + f"-{width:.0f}"
    clip = element(
        "clipPath",
        element("rect", x=_LEFT - 4, y=_TOP - 6, width=width - _LEFT - _RIGHT + 8, height=height - _TOP - _BOTTOM + 8),
        id=frame,
    )
    lines = [_line(curve, across, up, classes[curve.variant], known) for curve in curves]
    return drawing(
        width,
        height,
        f"{known.label} of {len(curves)} runs over training steps",
        clip,
        *_axes(across, up, width, height),
        element("g", *lines, clip_path=f"url(#{frame})"),
    )


def _axes(across: Axis, up: Axis, width: float, height: float) -> list[Markup]:
    parts = []
    for value in up.ticks(6):
        parts.append(element("line", x1=_LEFT, x2=width - _RIGHT, y1=up(value), y2=up(value), class_="grid"))
        parts.append(element("text", f"{value:.6g}", x=_LEFT - 6, y=up(value) + 4, text_anchor="end", class_="tick"))
    parts += [
        element("text", f"{value:,.0f}", x=across(value), y=height - 22, text_anchor="middle", class_="tick")
        for value in across.ticks(5 if width > 500 else 3)
    ]
    parts.append(element("text", "training step", x=width / 2, y=height - 4, text_anchor="middle", class_="tick"))
    return parts


def within(points: Sequence[Point], low: float, high: float) -> list[list[Point]]:
    """Return the parts of a polyline between the heights `low` and `high`.

    Browsers take seconds to draw lines that leave the chart by millions of pixels.

    >>> within([(0, 0), (1, 1), (3, 9), (4, 0)], -5, 5)
    [[(0, 0), (1, 1), (2.0, 5.0)], [(3.4444444444444446, 5.0), (4, 0)]]
    """
    if len(points) == 1:
        return [list(points)]
    parts: list[list[Point]] = []
    for (x0, y0), (x1, y1) in pairwise(points):
        if max(y0, y1) < low or min(y0, y1) > high:
            continue
        ends: list[Point] = [
            (x, y) if low <= y <= high else (x0 + (x1 - x0) * (edge - y0) / (y1 - y0), edge)
            for x, y, edge in ((x0, y0, float(min(max(y0, low), high))), (x1, y1, float(min(max(y1, low), high))))
        ]
        if parts and parts[-1][-1] == ends[0]:
            parts[-1].append(ends[1])
        else:
            parts.append(ends)
    return parts


def _line(curve: Curve, across: Axis, up: Axis, look: str, metric: Metric) -> Markup:
    points = [(across(step), up(value)) for step, value in curve.finite]
    parts = within(points, up.end - _OUTSIDE, up.start + _OUTSIDE)
    path = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in part) for part in parts)
    last = curve.finite[-1]
    value = f"{metric.text(last[1])} at step {last[0]:,}"
    label = f"{curve.variant}, lr {number_text(curve.learning_rate)}, seed {curve.seed}: {value}"
    return element(
        "g",
        element("title", label),
        element("path", d=path, class_="hit"),
        element("path", d=path, class_="line"),
        element("circle", cx=points[-1][0], cy=points[-1][1], r=3.0, class_="end"),
        class_=f"run {look}" + ("" if curve.chosen else " other"),
        data_variant=curve.variant,
        data_label=label,
    )
