"""Draw the forest plot: the difference of every variant to the baseline with its interval, overall and per test set."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.study.leaderboard import Leaderboard
from nitido.study.report import BICUBIC
from nitido.study.report.formatting import interval, signed
from nitido.study.report.svg import Axis, drawing, element
from nitido.study.statistics import PairedDifference

WIDTH = 360.0
_ROW, _EDGE, _FOOT = 40.0, 10.0, 38.0
_NAME = 34
"""Characters of a name that fit beside the figures; the tooltip shows the whole name."""


@dataclass(frozen=True)
class Line:
    """One variant on one panel. `improves`: significantly better (True) or worse (False) overall, or None."""

    variant: str
    difference: PairedDifference
    improves: bool | None


@dataclass(frozen=True)
class Panel:
    """One drawing: of all test sets, or of a single one."""

    title: str
    image: Markup


@dataclass(frozen=True)
class Forest:
    """The panels of one objective, and the notes that explain their whiskers."""

    objective: Objective
    title: str
    panels: tuple[Panel, ...]
    notes: tuple[str, ...]


def forest(board: Leaderboard, objective: Objective) -> Forest | None:
    """Return the plots of one objective; None if no variant was compared to the baseline."""
    known = [board.versus_baseline(entry.variant, objective) for entry in board.ranked(objective)]
    found = [statistics for statistics in known if statistics is not None]
    overall = [Line(s.variant, s.difference, s.improves) for s in found if s.difference is not None]
    if not overall:
        return None
    panels = [Panel("over all test sets" if len(board.datasets) > 1 else board.datasets[0], _draw(overall, objective))]
    for dataset in board.datasets if len(board.datasets) > 1 else ():
        lines = [Line(s.variant, s.by_dataset[dataset], s.improves) for s in found if dataset in s.by_dataset]
        panels.append(Panel(dataset, _draw(lines, objective)))
    title = f"Differences to {board.baseline}: {SELECTION_METRICS[objective].title}"
    return Forest(objective, title, tuple(panels), tuple(_notes(overall, objective)))


def _notes(lines: Sequence[Line], objective: Objective) -> list[str]:
    better = "Right" if SELECTION_METRICS[objective].higher_is_better else "Left"
    notes = [f"{better} is better. The 95% intervals are individual, not simultaneous."]
    if any(line.difference.covers == "seeds and pictures" for line in lines):
        notes.append("Solid: the interval covers other seeds and other images.")
    if any(line.difference.covers == "pictures" and line.difference.interval for line in lines):
        notes.append("Dashed: the interval covers other images only and is too short, because seed noise is unknown.")
    if any(line.difference.interval is None for line in lines):
        notes.append("No whiskers: a test set has a single image, so there is no interval.")
    notes.append("Blue: significantly better. Orange: significantly worse (5%, Holm-corrected). Gray: inconclusive.")
    return notes


def _draw(lines: Sequence[Line], objective: Objective) -> Markup:
    low, high = limits(lines)
    axis = Axis(low, high, _EDGE, WIDTH - _EDGE)
    height = len(lines) * _ROW + _FOOT
    rows = [_row(line, axis, index * _ROW, objective) for index, line in enumerate(lines)]
    zero = element("line", x1=axis(0), x2=axis(0), y1=0.0, y2=height - _FOOT + 4, class_="zero")
    marks = [
        element("text", _tick(value), x=axis(value), y=height - 20, text_anchor="middle", class_="tick")
        for value in axis.ticks(5)
    ]
    grid = [
        element("line", x1=axis(v), x2=axis(v), y1=0.0, y2=height - _FOOT + 4, class_="grid") for v in axis.ticks(5)
    ]
    unit = "difference in dB" if objective == "fidelity" else "difference (smaller is better)"
    name = element("text", unit, x=WIDTH / 2, y=height - 4, text_anchor="middle", class_="tick")
    said = "; ".join(f"{line.variant} {figures(line.difference, objective)}" for line in lines)
    return drawing(WIDTH, height, f"Differences to the baseline: {said}", *grid, zero, *rows, *marks, name)


def limits(lines: Sequence[Line]) -> tuple[float, float]:
    """Return the ends of the axis: all trained variants, 0, and whiskers up to three times the largest difference.

    Bicubic and the whiskers of two seeds may be many times as long; an arrow shows that they continue.
    """
    trained = [line for line in lines if line.variant != BICUBIC] or list(lines)
    reach = max(3 * max(abs(line.difference.value) for line in trained), 1e-4)
    ends = [0.0]
    for line in trained:
        span = line.difference.interval
        ends += [line.difference.value, *([span.low, span.high] if span is not None else [])]
    ends = [min(max(end, -reach), reach) for end in ends if math.isfinite(end)]
    margin = 0.06 * (max(ends) - min(ends)) or 1e-4
    return min(ends) - margin, max(ends) + margin


def figures(difference: PairedDifference, objective: Objective) -> str:
    """Return the difference and its interval as text."""
    digits = SELECTION_METRICS[objective].decimals
    text = signed(difference.value, digits)
    span = difference.interval
    return f"{text} {interval(span.low, span.high, digits)}" if span is not None else text


def _row(line: Line, axis: Axis, top: float, objective: Objective) -> Markup:
    kind = {True: "better", False: "worse", None: "unsure"}[line.improves]
    name = line.variant if len(line.variant) <= _NAME else line.variant[: _NAME - 1] + "…"
    middle = top + 27
    parts = [
        element("title", f"{line.variant}: {figures(line.difference, objective)}"),
        element("text", name, x=0, y=top + 14, class_="name"),
        element("text", figures(line.difference, objective), x=WIDTH, y=top + 14, text_anchor="end", class_="value"),
        *_whisker(line, axis, middle),
    ]
    if axis.inside(line.difference.value):
        parts.append(element("circle", cx=axis(line.difference.value), cy=middle, r=4.5, class_="dot"))
    return element("g", *parts, class_=kind)


def _whisker(line: Line, axis: Axis, y: float) -> list[Markup]:
    """Draw the interval within the axis, with an arrow where it or the point continues outside."""
    span = line.difference.interval
    low, high = (span.low, span.high) if span is not None else (line.difference.value,) * 2
    ends = [min(max(axis(end), axis.start), axis.end) for end in (low, high)]
    dashed = " dashed" if line.difference.covers == "pictures" else ""
    parts = []
    if ends[1] > ends[0]:
        parts.append(element("line", x1=ends[0], x2=ends[1], y1=y, y2=y, class_=f"whisker{dashed}"))
    for outside, x, sign in ((low < axis.low, axis.start, 1), (high > axis.high, axis.end, -1)):
        if outside:
            arrow = f"M{x + 6 * sign:.1f} {y - 5:.1f}L{x:.1f} {y:.1f}L{x + 6 * sign:.1f} {y + 5:.1f}"
            parts.append(element("path", d=arrow, class_="arrow"))
    return parts


def _tick(value: float) -> str:
    return f"{value:+.4g}".replace("-", "−") if value else "0"
