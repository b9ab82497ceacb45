"""Draw the charts of a study: the ranking as gains over bicubic, and the training curves."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nitido.base.atomic import replacing
from nitido.base.matplotlib_style import default_style
from nitido.evaluation.objectives import SELECTION_METRICS, Objective, SelectionMetric
from nitido.study.leaderboard import Entry, Leaderboard
from nitido.study.report import BICUBIC, ReportError

_DPI = 150
_INK, _MUTED, _FAINT, _GRID = "#1b1f24", "#5b6570", "#a3abb3", "#e6e9ec"
_GAIN, _LOSS, _BASELINE = "#0072b2", "#d55e00", "#1b1f24"
# Okabe and Ito's palette for color-blind readers, without its yellow, which is too light for lines on white.
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#1b1f24")
_DASHES = ("-", "--", "-.", ":")


@default_style()
def draw_ranking(board: Leaderboard, path: Path, objective: Objective = "fidelity") -> None:
    """Draw the gain of each variant over bicubic by the metric of `objective`, one column of bars per test set.

    For fidelity the gain is in dB (mean PSNR-Y over images), for perception the reduction of perceptual distance.

    The best variant is on top. A whisker is the standard deviation over seeds; a dashed line marks the baseline;
    variants without a result are named in gray, without a bar. Raises `ReportError` if the board has no bicubic.
    """
    bicubic = next((entry for entry in board.entries if entry.variant == BICUBIC), None)
    selection_metric = SELECTION_METRICS[objective]
    metric, entries = selection_metric.metric, board.ranked(objective)
    datasets = [name for name in board.datasets if bicubic is not None and metric in bicubic.means.get(name, {})]
    if bicubic is None or not datasets:
        raise ReportError(f"study {board.study!r} has no results of {BICUBIC}: cannot draw gains over it")
    names = 0.7 + 0.08 * max(len(entry.variant) for entry in entries)  # inches
    width, height = max(7.5, names + 0.3 + 3.0 * len(datasets)), 1.5 + 0.46 * len(entries)
    figure = Figure(figsize=(width, height), dpi=_DPI)
    grid = figure.subplots(1, len(datasets), sharey=True, squeeze=False)
    for axes, dataset in zip(grid[0], datasets, strict=True):
        _gain_bars(axes, entries, board.baseline, bicubic, dataset, selection_metric)
    first: Axes = grid[0][0]
    first.set_yticks(range(len(entries)), [""] * len(entries))
    first.set_ylim(len(entries) - 0.5, -0.5)
    best = next((e for e in entries if e.place(objective) is not None and e.learning_rate is not None), None)
    for row, entry in enumerate(entries):
        _name(first, row, entry, objective, bold=entry == best)
    figure.subplots_adjust(
        left=names / width, right=1 - 0.25 / width, top=1 - 0.95 / height, bottom=0.5 / height, wspace=0.12
    )
    gain = "gain over bicubic in dB" if objective == "fidelity" else "reduction of bicubic's perceptual distance"
    heading = f"{board.study} ×{board.scale}: {gain}"
    note = f"{selection_metric.title}, mean over images · dashed: {board.baseline}"
    note += " · whisker: sd over seeds" if any(entry.deviations for entry in entries) else ""
    for text, below, size, color, weight in ((heading, 0.34, 13, _INK, "bold"), (note, 0.58, 8.5, _MUTED, "normal")):
        figure.text(
            0.2 / width, 1 - below / height, text, fontsize=size, color=color, fontweight=weight, parse_math=False
        )
    _save(figure, path)


def _gain_bars(
    axes: Axes, entries: Sequence[Entry], baseline: str, bicubic: Entry, dataset: str, selection_metric: SelectionMetric
) -> None:
    """Draw the column of one test set: a bar per variant, its value, and the dashed line of the baseline."""
    metric, digits = selection_metric.metric, selection_metric.decimals
    zero = selection_metric.sort_key(bicubic.means[dataset][metric])
    measured = {row: e.means[dataset][metric] for row, e in enumerate(entries) if metric in e.means.get(dataset, {})}
    gains = {row: zero - selection_metric.sort_key(value) for row, value in measured.items()}
    spreads = {row: entries[row].deviations.get(dataset, {}).get(metric, 0.0) for row in gains}
    low = min(gains[row] - spreads[row] for row in gains)
    high = max(gains[row] + spreads[row] for row in gains)
    span = max(high, 0.0) - min(low, 0.0) or 1.0
    axes.set_xlim(min(low, 0.0) - (0.3 * span if low < 0 else 0.02 * span), max(high, 0.0) + 0.3 * span)
    for row, gain in gains.items():
        spread = spreads[row]
        if entries[row].variant == BICUBIC:
            unit = " dB" if metric == "psnr_y" else ""
            axes.text(
                0.02 * span,
                row,
                f"{selection_metric.text(measured[row])}{unit}",
                va="center",
                fontsize=8.5,
                color=_MUTED,
            )
            continue
        axes.barh(row, gain, height=0.62, color=_GAIN if gain >= 0 else _LOSS, zorder=2)
        if spread:
            axes.errorbar(gain, row, xerr=spread, color=_INK, elinewidth=1.1, capsize=3, zorder=3)
        side = 1 if gain >= 0 else -1
        label = axes.text(
            gain + side * (spread + 0.02 * span),
            row,
            f"{gain:+.{digits}f}".replace("-", "−"),
            va="center",
            fontsize=8.5,
            color=_INK,
        )
        label.set_horizontalalignment("left" if side > 0 else "right")
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
        label.set_zorder(4)
    base = next((row for row, entry in enumerate(entries) if entry.variant == baseline), None)
    if base in gains and baseline != BICUBIC:
        axes.axvline(gains[base], color=_BASELINE, linestyle=(0, (4, 3)), linewidth=1.0, zorder=2.5)
    axes.axvline(0, color=_MUTED, linewidth=1.0, zorder=2.5)
    axes.set_title(dataset, fontsize=10, color=_INK, loc="left", parse_math=False)
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", labelsize=8, colors=_MUTED, length=0)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)


def _name(axes: Axes, row: int, entry: Entry, objective: Objective, *, bold: bool) -> None:
    """Write the name and size of a variant, right-aligned beside its bar."""
    known = entry.place(objective) is not None
    facts = [] if entry.status == "ok" else [entry.status]
    facts += ["objective: perception"] if objective == "fidelity" and entry.objective == "perception" else []
    facts += [f"{entry.parameters:,} parameters"] if entry.parameters else []
    texts = [(entry.variant, 9.5, _INK if known else _FAINT, 5.0 if facts else 0.0)]
    texts += [(" · ".join(facts), 7.5, _MUTED if known else _FAINT, -6.0)] if facts else []
    for text, size, color, lift in texts:
        axes.annotate(
            text,
            (0, row),
            xycoords=("axes fraction", "data"),
            xytext=(-8, lift),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=size,
            color=color,
            fontweight="bold" if bold and size > 8 else "normal",
            parse_math=False,
            annotation_clip=False,
        )


@default_style()
def draw_training_curves(
    curves: Mapping[str, Sequence[tuple[int, float]]],
    path: Path,
    objective: Objective = "fidelity",
    crop: int | None = None,
) -> None:
    """Draw validations over training steps; `curves` maps a variant to its points `(step, value)`.

    The values are in the metric of `objective`, of the middle `crop` pixels of each image or of the whole image.

    Every line is labeled at its end. The axis ends a little below the worst final value, so that a bad first
    validation does not flatten the rest. Raises `ReportError` if no curve has a finite point.
    """
    finite = {
        name: [(step, value) for step, value in points if math.isfinite(value)] for name, points in curves.items()
    }
    finite = {name: sorted(points) for name, points in finite.items() if points}
    if not finite:
        raise ReportError("no training curves to draw: no run has been validated yet")
    selection_metric = SELECTION_METRICS[objective]
    labels = {name: f"{name}  {selection_metric.text(points[-1][1])}" for name, points in finite.items()}
    width = 6.95 + 0.07 * max(map(len, labels.values()))  # inches
    figure = Figure(figsize=(width, 5.2), dpi=_DPI)
    axes = figure.subplots()
    ends = {name: points[-1][1] for name, points in finite.items()}
    values = [value for points in finite.values() for _, value in points]
    high = max(values)
    low = min(values)
    if selection_metric.higher_is_better:
        low = max(low, min(ends.values()) - max(1.0, 1.5 * (high - min(ends.values()))))
    else:
        high = min(high, max(ends.values()) + 1.5 * (max(ends.values()) - low))
    pad = 0.04 * (high - low or 1.0)
    axes.set_ylim(low - pad, high + pad)
    last = max(points[-1][0] for points in finite.values())
    axes.set_xlim(0, last * 1.01 or 1)
    heights = spread_labels(ends, low - pad, high + pad, (high - low + 2 * pad) / 24)
    for index, (name, points) in enumerate(finite.items()):
        color = _LINES[index % len(_LINES)]
        dashes = _DASHES[index // len(_LINES) % len(_DASHES)]
        axes.plot(*zip(*points, strict=True), color=color, linestyle=dashes, linewidth=1.7, solid_capstyle="round")
        axes.plot(*points[-1], "o", color=color, markersize=4, clip_on=False)
        axes.annotate(
            labels[name],
            points[-1],
            xytext=(1.03, heights[name]),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            color=color,
            parse_math=False,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.6, "alpha": 0.6, "shrinkA": 1, "shrinkB": 2},
        )
    title = f"Validation: {selection_metric.title}" + (f" (crop of {crop} px)" if crop else "")
    axes.set_title(title, fontsize=12, fontweight="bold", color=_INK, loc="left")
    axes.set_xlabel("training step", fontsize=9, color=_MUTED)
    axes.tick_params(labelsize=8.5, colors=_MUTED, length=0)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.spines[:].set_visible(False)
    figure.subplots_adjust(left=0.6 / width, right=6.6 / width, top=0.91, bottom=0.11)
    _save(figure, path)


def spread_labels(wanted: Mapping[str, float], low: float, high: float, gap: float) -> dict[str, float]:
    """Return label heights near `wanted` that are at least `gap` apart, or less if there is not enough space."""
    names = sorted(wanted, key=lambda name: (wanted[name], name))
    gap = min(gap, (high - low) / len(names))
    heights: dict[str, float] = {}
    floor = low + gap / 2
    for name in names:
        heights[name] = max(wanted[name], floor)
        floor = heights[name] + gap
    ceiling = high - gap / 2
    for name in reversed(names):
        heights[name] = min(heights[name], ceiling)
        ceiling = heights[name] - gap
    return heights


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with replacing(path) as draft:
        figure.savefig(draft, format="png", facecolor="white")
