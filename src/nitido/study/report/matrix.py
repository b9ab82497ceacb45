"""Build the per-image matrix: the difference of each variant to the baseline on each test image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.study.leaderboard import Leaderboard
from nitido.study.report import BICUBIC
from nitido.study.report.formatting import signed


@dataclass(frozen=True)
class MatrixCell:
    """A difference; `strength` in [-1, 1] is the intensity of its color, positive if better than the baseline."""

    text: str
    strength: float
    best: bool


@dataclass(frozen=True)
class MatrixRow:
    """One image; `base` is the value of the baseline."""

    dataset: str
    image: str
    base: str
    cells: tuple[MatrixCell | None, ...]


@dataclass(frozen=True)
class Matrix:
    """Rows are images, columns variants. `wins` and `base_wins` count the images on which each one is the best."""

    objective: Objective
    title: str
    variants: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    base_wins: int
    wins: tuple[int, ...]
    full: str
    better_is: str


def matrix(board: Leaderboard, rows: pl.DataFrame, objective: Objective) -> Matrix | None:
    """Return the matrix of one objective at the chosen learning rates; None without results of the baseline."""
    selection_metric = SELECTION_METRICS[objective]
    values = _values(board, rows, selection_metric.metric)
    if board.baseline not in values.columns:
        return None
    shown = [
        e.variant for e in board.ranked(objective) if e.variant in values.columns and e.place(objective) is not None
    ]
    variants = [name for name in shown if name not in (board.baseline, BICUBIC)]
    values = values.filter(pl.col(board.baseline).is_not_null())
    if not variants or values.is_empty():
        return None
    gains = values.select(
        [
            (pl.col(name) - pl.col(board.baseline)) * (1 if selection_metric.higher_is_better else -1)
            for name in variants
        ]
    )
    full = _full_strength(gains)
    lines = [
        _row(line, gain, board.baseline, variants, objective, full)
        for line, gain in zip(values.iter_rows(named=True), gains.iter_rows(), strict=True)
    ]
    wins = tuple(_wins(cells) for cells in zip(*(line.cells for line in lines), strict=True))
    return Matrix(
        objective=objective,
        title=f"{selection_metric.title}, difference to {board.baseline}",
        variants=tuple(variants),
        rows=tuple(lines),
        base_wins=len(lines) - sum(_wins(line.cells) > 0 for line in lines),
        wins=wins,
        full=f"{full:.{selection_metric.decimals}f}" + (" dB" if objective == "fidelity" else ""),
        better_is="higher" if selection_metric.higher_is_better else "lower",
    )


def _wins(cells: Sequence[MatrixCell | None]) -> int:
    return sum(cell is not None and cell.best for cell in cells)


def _values(board: Leaderboard, rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return images × variants, means over seeds at the chosen learning rates; null if there is no finite value."""
    chosen = pl.DataFrame(
        {"variant": [e.variant for e in board.entries], "lr": [e.learning_rate for e in board.entries]},
        schema={"variant": pl.String, "lr": pl.Float64},
    )
    tested = rows.filter((pl.col("split") == "test") & (pl.col("metric") == metric) & pl.col("value").is_finite())
    tested = tested.join(chosen, on=["variant", "lr"], how="semi", nulls_equal=True)
    means = tested.group_by("dataset", "image", "variant", maintain_order=True).agg(pl.col("value").mean())
    return means.pivot("variant", index=["dataset", "image"], values="value")


def _full_strength(gains: pl.DataFrame) -> float:
    """Return the difference that gets full color: the 95th percentile, so that an outlier does not fade the rest."""
    found = np.abs(gains.to_numpy().astype(np.float64))
    found = found[np.isfinite(found)]
    return float(max(np.quantile(found, 0.95), 1e-4)) if len(found) else 1e-4


def _row(
    line: dict[str, object],
    gains: Sequence[float | None],
    baseline: str,
    variants: Sequence[str],
    objective: Objective,
    full: float,
) -> MatrixRow:
    digits = SELECTION_METRICS[objective].decimals
    sign = 1 if SELECTION_METRICS[objective].higher_is_better else -1
    base = SELECTION_METRICS[objective].text(float(str(line[baseline])))
    top = max((gain for gain in gains if gain is not None), default=0.0)
    cells = tuple(
        MatrixCell(signed(sign * gain, digits), max(-1.0, min(1.0, gain / full)), gain == top and gain > 0)
        if gain is not None
        else None
        for gain in gains
    )
    return MatrixRow(str(line["dataset"]), str(line["image"]), base, cells)
