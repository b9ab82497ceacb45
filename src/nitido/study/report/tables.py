"""Build the sortable tables of the report: leaderboards, learning rates, all metrics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nitido.base.number_text import number_text
from nitido.evaluation.metrics import METRICS
from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.study.leaderboard import Entry, Leaderboard
from nitido.study.leaderboard_tables import as_table
from nitido.study.report import BICUBIC
from nitido.study.report.costs import Cost
from nitido.study.report.formatting import amount, listed, milliseconds

UNKNOWN = "–"


@dataclass(frozen=True)
class Column:
    """A column; `descending` is the order after the first click."""

    name: str
    descending: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell: the printed text and the value that is sorted by; None comes last in both orders."""

    text: str
    value: float | str | None
    best: bool = False


@dataclass(frozen=True)
class Line:
    """One variant: whether it is ranked (`placed`), and whether it is the best trained one."""

    variant: str
    cells: tuple[Cell, ...]
    placed: bool
    best: bool


@dataclass(frozen=True)
class Table:
    """A table with sortable columns."""

    title: str
    note: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def leaderboard_table(board: Leaderboard, objective: Objective, costs: Mapping[str, Cost]) -> Table:
    """Return a ranking with its costs: the cells of `as_table`, then MACs, time and memory."""
    header, texts = as_table(board, objective)
    entries = board.ranked(objective)
    known = {entry.variant: costs.get(entry.variant) or Cost(entry.parameters, entry.macs) for entry in entries}
    selection_metric = SELECTION_METRICS[objective]
    higher = {name for name in header if name.startswith("Δ") or name.endswith(("SSIM", "distance / PSNR"))}
    columns = [Column(name, descending=name in higher and selection_metric.higher_is_better) for name in header]
    columns += [Column(name) for name in ("MACs", "time per image", "memory")]
    best = next((e for e in entries if e.place(objective) is not None and e.learning_rate is not None), None)
    lines = []
    for entry, cells in zip(entries, texts, strict=True):
        values = _sort_values(board, entry, objective)
        shown = [Cell(_unbroken(text), value) for text, value in zip(cells, values, strict=True)]
        shown += _cost_cells(known[entry.variant])
        lines.append(Line(entry.variant, tuple(shown), entry.place(objective) is not None, entry is best))
    title = "Leaderboard" if objective == "fidelity" else f"Leaderboard by {selection_metric.title} (lower is better)"
    return Table(title, _shared(board, objective), tuple(columns), tuple(lines))


def _unbroken(text: str) -> str:
    """Return `text` with non-breaking spaces, so that a line breaks only before an interval."""
    value, bracket, rest = text.partition(" [")
    return f"{value.replace(' ', chr(160))} [{rest.replace(' ', chr(160))}" if bracket else text


def _shared(board: Leaderboard, objective: Objective) -> str:
    """Explain how the ranks were assigned; empty if they need no explanation."""
    if objective in board.statistics and max(s.seeds for s in board.statistics[objective].variants) == 1:
        return "One seed: the ranks follow the means, and every difference is inconclusive."
    places = [entry.place(objective) for entry in board.entries if entry.place(objective) is not None]
    if len(set(places)) < len(places):
        return "Sorted by the mean. Rank: 1 + the number of significantly better variants, never above a better mean."
    return ""


def _sort_values(board: Leaderboard, entry: Entry, objective: Objective) -> list[float | str | None]:
    """Return the values by which the columns of `as_table` are sorted."""
    metric = SELECTION_METRICS[objective].metric
    mean = entry.mean(metric)
    base = next((e.mean(metric) for e in board.entries if e.variant == board.baseline), None)
    known = board.versus_baseline(entry.variant, objective)
    verdict = None if known is None or known.adjusted_p_value is None else {True: 0, None: 1, False: 2}[known.improves]
    return [
        entry.place(objective),
        entry.variant,
        entry.learning_rate,
        len(entry.seeds) or None,
        entry.parameters or None,
        *(_finite(entry.means.get(dataset, {}).get(metric)) for dataset in board.datasets),
        _finite(mean - base) if mean is not None and base is not None else None,
        verdict,
    ]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _cost_cells(cost: Cost) -> list[Cell]:
    return [
        Cell(amount(cost.macs) if cost.macs else UNKNOWN, cost.macs or None),
        Cell(milliseconds(cost.latency) if cost.latency is not None else UNKNOWN, cost.latency),
        Cell(amount(cost.peak_memory, "B") if cost.peak_memory is not None else UNKNOWN, cost.peak_memory),
    ]


def metrics_table(board: Leaderboard, asked: tuple[str, ...] = ()) -> Table | None:
    """Return the mean over the test sets of every metric in the rows; None without results.

    `asked` are the metrics that the study names: the note says why one of them is missing.
    """
    measured = {metric for entry in board.entries for means in entry.means.values() for metric in means}
    metrics = [METRICS[name] for name in METRICS if name in measured]
    if not metrics:
        return None
    columns = [Column("variant")]
    columns += [
        Column(f"{m.label} ({_direction(higher_is_better=m.higher_is_better)})", descending=m.higher_is_better)
        for m in metrics
    ]
    entries = [entry for entry in board.entries if entry.means]
    best = {m.name: _best(entries, m.name, higher_is_better=m.higher_is_better) for m in metrics}
    lines = []
    for entry in entries:
        cells = [Cell(entry.variant, entry.variant)]
        for m in metrics:
            value = _finite(entry.mean(m.name))
            text = UNKNOWN if value is None else m.text(value)
            cells.append(Cell(text, value, value is not None and value == best[m.name]))
        lines.append(Line(entry.variant, tuple(cells), entry.status == "ok", best=False))
    note = absent_metrics(board, asked)
    bold = "Bold: the best of the finished variants; bicubic is never bold."
    return Table("Every metric", f"{bold} {note}".strip(), tuple(columns), tuple(lines))


def rates_table(board: Leaderboard) -> Table | None:
    """Return all learning rates of all variants with their validation results; None if nothing was trained."""
    lines = []
    for entry in board.entries:
        if entry.choice is None:
            continue
        kind = METRICS[entry.choice.metric]
        for rate in entry.choice.rates:
            chosen = rate.learning_rate == entry.learning_rate
            word = _chosen_word(entry)
            shown = UNKNOWN if rate.value is None else kind.text(rate.value)
            cells = (
                Cell(entry.variant, entry.variant),
                Cell(number_text(rate.learning_rate), rate.learning_rate, chosen),
                Cell(", ".join(map(str, rate.seeds)) or UNKNOWN, len(rate.seeds) or None),
                Cell(kind.label, kind.label),
                Cell(shown, rate.value, chosen),
                Cell(word if chosen else rate.status if rate.status != "ok" else "not chosen", rate.status),
            )
            lines.append(Line(entry.variant, cells, rate.value is not None, best=False))
    if not lines:
        return None
    names = ("variant", "lr", "seeds", "metric", "validation, whole images", "result")
    images = max(entry.choice.images for entry in board.entries if entry.choice is not None)
    several = any(entry.choice is not None and len(entry.choice.rates) > 1 for entry in board.entries)
    note = (
        f"Measured after training on {images} whole validation image{'s' if images != 1 else ''} with the "
        "weights that each run kept: the mean over images, then over seeds."
        + (" The best value was chosen." if several else "")
        + _at_the_edge(board)
    )
    return Table("Choice of learning rates", note, tuple(map(Column, names)), tuple(lines))


def _at_the_edge(board: Leaderboard) -> str:
    """Name the variants whose best learning rate is the smallest or the largest one that was tried; "" without any."""
    edges = [
        entry.variant
        for entry in board.entries
        if entry.choice is not None
        and len(rates := [rate.learning_rate for rate in entry.choice.rates]) > 1
        and entry.learning_rate in (min(rates), max(rates))
    ]
    if not edges:
        return ""
    return f" The best rate is the smallest or largest one tried for {listed(edges)}: one beyond it may be better."


def _chosen_word(entry: Entry) -> str:
    """Return the result of the best learning rate of an entry; it is final only after all runs have finished."""
    if not entry.decided:
        return "best so far"
    alone = entry.choice is not None and len(entry.choice.rates) == 1
    return "the only one" if alone else "chosen"


def _direction(*, higher_is_better: bool) -> str:
    return "higher is better" if higher_is_better else "lower is better"


def _best(entries: list[Entry], metric: str, *, higher_is_better: bool) -> float | None:
    found = [entry.mean(metric) for entry in entries if entry.variant != BICUBIC and entry.status == "ok"]
    finite = [value for value in found if value is not None and math.isfinite(value)]
    return (max if higher_is_better else min)(finite) if finite else None


def absent_metrics(board: Leaderboard, asked: Sequence[str]) -> str:
    """Say which metrics in the rows or in `asked` have no mean, and why; names the first variant without one."""
    entries = [entry for entry in board.entries if entry.means]
    measured = {metric for entry in entries for means in entry.means.values() for metric in means}
    metrics = [METRICS[name] for name in METRICS if name in measured or (measured and name in asked)]
    said = []
    for metric in metrics:
        lacking = next((entry for entry in entries if metric.name in entry.gaps), None)
        if lacking is not None:
            said.append(f"{metric.title} has no mean: {lacking.variant} {lacking.gaps[metric.name]}.")
        elif all(entry.mean(metric.name) is None for entry in entries):
            reason = metric.missing() or "it was not measured"
            said.append(f"{metric.title} is not available: {reason}.")
    return " ".join(said)
