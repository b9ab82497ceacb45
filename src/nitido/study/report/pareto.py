"""Draw quality against each cost, with the Pareto front."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.study.leaderboard import Leaderboard
from nitido.study.report import BICUBIC
from nitido.study.report.costs import Cost
from nitido.study.report.formatting import amount, milliseconds
from nitido.study.report.ranking import spread_labels
from nitido.study.report.svg import Axis, drawing, element, ticks

_LEFT, _TOP, _BOTTOM = 48.0, 12.0, 42.0
_NAMES, _NUMBERS = 238.0, 34.0
_LABEL = 13.0


@dataclass(frozen=True)
class Measure:
    """A kind of cost: its title, and functions that read it from `Cost` and format it."""

    key: str
    title: str
    read: Callable[[Cost], float | None]
    show: Callable[[float], str]


MEASURES = (
    Measure("parameters", "parameters", lambda c: c.parameters, amount),
    Measure("macs", "MACs at 1280×720", lambda c: c.macs, amount),
    Measure("macs_small", "MACs at 256×256 LR", lambda c: c.macs_small, amount),
    Measure("activations", "activations at 256×256 LR", lambda c: c.activations, amount),
    Measure("latency", "time per image", lambda c: c.latency, milliseconds),
    Measure("memory", "peak memory", lambda c: c.peak_memory, lambda v: amount(v, "B")),
)


@dataclass(frozen=True)
class Point:
    """A variant: its number in the chart, its cost and its quality."""

    number: int
    variant: str
    cost: float
    quality: float


@dataclass(frozen=True)
class ParetoChart:
    """The charts of one cost for wide and narrow screens; `key` explains the numbers of the narrow one."""

    measure: Measure
    images: dict[str, Markup]
    key: tuple[tuple[int, str, str, bool], ...]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Pareto:
    """The charts of one objective."""

    objective: Objective
    title: str
    charts: tuple[ParetoChart, ...]


def pareto(board: Leaderboard, objective: Objective, costs: Mapping[str, Cost]) -> Pareto | None:
    """Return a chart for every measured cost; None if no trained variant has both a cost and a result."""
    charts = [chart for measure in MEASURES if (chart := _chart(board, objective, costs, measure)) is not None]
    title = f"{SELECTION_METRICS[objective].title} against cost"
    return Pareto(objective, title, tuple(charts)) if charts else None


def dominated(points: Sequence[Point], *, higher_is_better: bool) -> set[str]:
    """Return the dominated variants: another one is at least as good in quality and cost, and better in one."""
    sign = 1 if higher_is_better else -1
    return {
        p.variant
        for p in points
        for q in points
        if sign * q.quality >= sign * p.quality and q.cost <= p.cost and (q.cost, q.quality) != (p.cost, p.quality)
    }


def _chart(board: Leaderboard, objective: Objective, costs: Mapping[str, Cost], measure: Measure) -> ParetoChart | None:
    selection_metric = SELECTION_METRICS[objective]
    points: list[Point] = []
    absent: list[str] = []
    for entry in board.ranked(objective):
        if entry.variant == BICUBIC or entry.place(objective) is None:
            continue
        quality = entry.mean(selection_metric.metric)
        cost = measure.read(costs[entry.variant]) if entry.variant in costs else None
        if quality is None or not math.isfinite(quality) or not cost:
            absent.append(entry.variant)
        else:
            points.append(Point(len(points) + 1, entry.variant, cost, quality))
    if not points:
        return None
    beaten = dominated(points, higher_is_better=selection_metric.higher_is_better)
    level = next((e.mean(selection_metric.metric) for e in board.entries if e.variant == BICUBIC), None)
    images = {
        name: _draw(points, beaten, objective, measure, level, width, names=name == "wide")
        for name, width in (("wide", 720.0), ("narrow", 340.0))
    }
    key = tuple((p.number, p.variant, measure.show(p.cost), p.variant in beaten) for p in points)
    return ParetoChart(measure, images, key, tuple(absent))


def _draw(
    points: Sequence[Point],
    beaten: set[str],
    objective: Objective,
    measure: Measure,
    bicubic: float | None,
    width: float,
    *,
    names: bool,
) -> Markup:
    selection_metric = SELECTION_METRICS[objective]
    height = max(340.0 if names else 280.0, _TOP + _BOTTOM + _LABEL * len(points) + 10)
    right = width - (_NAMES if names else _NUMBERS)
    across = _cost_axis([p.cost for p in points], _LEFT + 12, right - 12)
    low, high = min(p.quality for p in points), max(p.quality for p in points)
    margin = 0.12 * (high - low) or 0.01
    ends = (low - margin, high + margin) if selection_metric.higher_is_better else (high + margin, low - margin)
    up = Axis(*ends, height - _BOTTOM, _TOP)
    parts = [*_axes(across, up, right, height, measure), *_front(points, beaten, across, up, right)]
    if bicubic is not None and min(ends) <= bicubic <= max(ends):
        parts.append(element("line", x1=_LEFT, x2=right, y1=up(bicubic), y2=up(bicubic), class_="level"))
        parts.append(element("text", "bicubic", x=_LEFT + 4, y=up(bicubic) - 4, class_="tick"))
    heights = spread_labels({p.variant: up(p.quality) for p in points}, _TOP, height - _BOTTOM, _LABEL)
    parts += [_point(p, p.variant in beaten, across, up, right, heights[p.variant], names=names) for p in points]
    said = "; ".join(
        f"{p.variant} {selection_metric.text(p.quality)} for {measure.show(p.cost)}"
        + (" (dominated)" if p.variant in beaten else "")
        for p in points
    )
    return drawing(width, height, f"{selection_metric.title} against {measure.title}: {said}", *parts)


def _cost_axis(costs: Sequence[float], start: float, end: float) -> Axis:
    """Return the cost axis: logarithmic from a factor of 4 on; a single value is centered."""
    low, high = min(costs), max(costs)
    if high / low > 4:
        return Axis(low * 0.9, high * 1.1, start, end, log=True)
    margin = 0.08 * (high - low) or 0.1 * high
    return Axis(low - margin, high + margin, start, end)


def _axes(across: Axis, up: Axis, right: float, height: float, measure: Measure) -> list[Markup]:
    parts = []
    for value in ticks(min(up.low, up.high), max(up.low, up.high), 5):
        parts.append(element("line", x1=_LEFT, x2=right, y1=up(value), y2=up(value), class_="grid"))
        parts.append(element("text", f"{value:.6g}", x=_LEFT - 6, y=up(value) + 4, text_anchor="end", class_="tick"))
    for value in across.ticks(4 if right > 400 else 3):
        parts.append(element("line", x1=across(value), x2=across(value), y1=_TOP, y2=height - _BOTTOM, class_="grid"))
        words = {"x": across(value), "y": height - 24, "text_anchor": "middle", "class_": "tick"}
        parts.append(element("text", measure.show(value), **words))
    middle = (_LEFT + right) / 2
    parts.append(element("text", measure.title, x=middle, y=height - 6, text_anchor="middle", class_="tick"))
    return parts


def _front(points: Sequence[Point], beaten: set[str], across: Axis, up: Axis, right: float) -> list[Markup]:
    """Draw the Pareto front as a staircase."""
    front = sorted((across(p.cost), up(p.quality)) for p in points if p.variant not in beaten)
    path = f"M{front[0][0]:.1f} {front[0][1]:.1f}"
    for x, y in front[1:]:
        path += f"H{x:.1f}V{y:.1f}"
    return [element("path", d=f"{path}H{right - 12:.1f}", class_="front")]


def _point(p: Point, beaten: bool, across: Axis, up: Axis, right: float, label: float, *, names: bool) -> Markup:
    x, y = across(p.cost), up(p.quality)
    text = p.variant if names else str(p.number)
    return element(
        "g",
        element("title", p.variant),
        element("line", x1=x, y1=y, x2=right + 6, y2=label, class_="lead"),
        element("circle", cx=x, cy=y, r=5.0, class_="dot"),
        element("text", text, x=right + 10, y=label + 4, class_="name"),
        class_="point dominated" if beaten else "point",
    )
