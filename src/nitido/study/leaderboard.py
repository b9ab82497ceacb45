"""The ranking of a study: chosen on validation, reported on test, from rows alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

import polars as pl

from nitido.errors import NitidoError

RANKED_BY = "psnr_y"


class LeaderboardError(NitidoError):
    """Rows that cannot be ranked together."""


@dataclass(frozen=True)
class VariantFacts:
    """What the leaderboard needs to know of a variant besides its rows.

    `learning_rates` are those whose every run finished; only they can be chosen. None for what is not trained.
    """

    parameters: int
    macs: int
    status: str = "ok"
    learning_rates: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Entry:
    """One line of the leaderboard.

    `means[dataset][metric]` is the mean over pictures, then over seeds; `deviations` holds the sample standard
    deviation over seeds where there are at least two. `rank` is None for a variant with a run that did not finish, or
    without results on every test set: it stays in the table, but a mean over fewer runs or sets is not comparable.
    """

    rank: int | None
    variant: str
    learning_rate: float | None
    seeds: tuple[int, ...]
    parameters: int
    macs: int
    status: str
    validation: float | None
    means: dict[str, dict[str, float]]
    deviations: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """PSNR-Y in dB, the mean over the test sets' means; None without results."""
        values = [metrics[RANKED_BY] for metrics in self.means.values() if RANKED_BY in metrics]
        return fmean(values) if values else None


@dataclass(frozen=True)
class Leaderboard:
    """A ranked study. `baseline` is the variant that differences are taken to."""

    study: str
    profile: str
    baseline: str
    scale: int
    protocol: str
    datasets: tuple[str, ...]
    entries: tuple[Entry, ...]

    def best(self) -> Entry | None:
        """The first ranked trained variant, or None when nothing was trained to the end."""
        return next((e for e in self.entries if e.rank is not None and e.learning_rate is not None), None)

    def entry(self, variant: str) -> Entry:
        """The line of `variant`; KeyError when it is not in the table."""
        for candidate in self.entries:
            if candidate.variant == variant:
                return candidate
        raise KeyError(variant)


def rank(
    rows: pl.DataFrame, facts: Mapping[str, VariantFacts], *, study: str, profile: str, baseline: str
) -> Leaderboard:
    """Rank every variant of `facts` by its mean test PSNR-Y.

    A variant's learning rate is the one with the best mean validation PSNR-Y; test rows of other learning rates are
    not looked at. Bicubic (null learning rate) is ranked among the variants. Raises `LeaderboardError` when the rows
    mix protocols or scales, or when there is nothing to rank.
    """
    if rows.is_empty():
        raise LeaderboardError(f"study {study!r} has no results yet: run it first")
    for column in ("protocol", "scale"):
        found = rows[column].unique().sort().to_list()
        if len(found) > 1:
            raise LeaderboardError(f"rows of different {column}s cannot be ranked together: {found[0]} and {found[1]}")
    datasets = tuple(rows.filter(pl.col("split") == "test")["dataset"].unique(maintain_order=True).to_list())
    entries = [_entry(variant, rows.filter(pl.col("variant") == variant), known) for variant, known in facts.items()]
    complete = [e for e in entries if e.status == "ok" and set(e.means) == set(datasets)]
    complete.sort(key=lambda e: (-_score(e), e.variant))
    ranked = [replace(entry, rank=place) for place, entry in enumerate(complete, start=1)]
    ranked += [entry for entry in entries if entry not in complete]
    return Leaderboard(
        study=study,
        profile=profile,
        baseline=baseline,
        scale=rows["scale"][0],
        protocol=rows["protocol"][0],
        datasets=datasets,
        entries=tuple(ranked),
    )


def _score(entry: Entry) -> float:
    """The score of an entry that has results."""
    assert entry.score is not None
    return entry.score


def _entry(variant: str, rows: pl.DataFrame, facts: VariantFacts) -> Entry:
    rows = rows.filter(pl.col("value").is_not_nan())
    if facts.learning_rates is not None:
        rows = rows.filter(pl.col("lr").is_in(facts.learning_rates))
    learning_rate, validation = _choose_learning_rate(rows)
    chosen = rows.filter((pl.col("split") == "test") & pl.col("lr").eq_missing(pl.lit(learning_rate, pl.Float64)))
    means: dict[str, dict[str, float]] = {}
    deviations: dict[str, dict[str, float]] = {}
    per_seed = chosen.group_by("dataset", "metric", "seed", maintain_order=True).agg(pl.col("value").mean())
    for (dataset, metric), group in per_seed.group_by("dataset", "metric", maintain_order=True):
        values = group["value"].to_list()
        means.setdefault(str(dataset), {})[str(metric)] = fmean(values)
        if len(values) > 1:
            deviations.setdefault(str(dataset), {})[str(metric)] = stdev(values)
    return Entry(
        rank=None,
        variant=variant,
        learning_rate=learning_rate,
        seeds=tuple(chosen["seed"].drop_nulls().unique().sort().to_list()),
        parameters=facts.parameters,
        macs=facts.macs,
        status=facts.status,
        validation=validation,
        means=means,
        deviations=deviations,
    )


def _choose_learning_rate(rows: pl.DataFrame) -> tuple[float | None, float | None]:
    """The learning rate with the best mean validation PSNR-Y over its seeds, and that mean."""
    validation = rows.filter((pl.col("split") == "validation") & (pl.col("metric") == RANKED_BY))
    if validation.is_empty():
        return None, None
    means = validation.group_by("lr").agg(pl.col("value").mean()).sort("value", "lr", descending=[True, False])
    return means["lr"][0], means["value"][0]


def as_json(board: Leaderboard) -> dict[str, object]:
    """The leaderboard as plain data for `leaderboard.json`."""
    return {
        "study": board.study,
        "profile": board.profile,
        "baseline": board.baseline,
        "scale": board.scale,
        "protocol": board.protocol,
        "entries": [
            {
                "rank": entry.rank,
                "variant": entry.variant,
                "lr": entry.learning_rate,
                "seeds": list(entry.seeds),
                "parameters": entry.parameters,
                "macs": entry.macs,
                "status": entry.status,
                "validation": entry.validation,
                "metrics": entry.means,
                "deviations": entry.deviations,
            }
            for entry in board.entries
        ],
    }


def as_table(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the leaderboard for people; the difference column is to the baseline variant."""
    baseline = next((e.score for e in board.entries if e.variant == board.baseline), None)
    header = ["#", "variant", "lr", "seeds", "parameters", *(f"{d} PSNR / SSIM" for d in board.datasets)]
    header.append(f"Δ {board.baseline}")
    lines = []
    for entry in board.entries:
        difference = entry.score - baseline if entry.score is not None and baseline is not None else math.nan
        lines.append(
            [
                str(entry.rank) if entry.rank is not None else "–",
                entry.variant + ("" if entry.status == "ok" else f" ({entry.status})"),
                f"{entry.learning_rate:g}" if entry.learning_rate is not None else "–",
                ", ".join(map(str, entry.seeds)) or "–",
                f"{entry.parameters:,}" if entry.parameters else "–",
                *(_cell(entry, dataset) for dataset in board.datasets),
                "–" if math.isnan(difference) or entry.variant == board.baseline else f"{difference:+.2f} dB",
            ]
        )
    return header, lines


def _cell(entry: Entry, dataset: str) -> str:
    metrics = entry.means.get(dataset)
    if not metrics:
        return "–"
    spread = entry.deviations.get(dataset, {})
    psnr = f"{metrics['psnr_y']:.2f}" + (f" ± {spread['psnr_y']:.2f}" if "psnr_y" in spread else "")
    return f"{psnr} / {metrics['ssim_y']:.4f}"


def as_markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A GitHub-flavoured Markdown table.

    >>> print(as_markdown(["#", "variant"], [["1", "residual"]]))
    | # | variant |
    |---|---|
    | 1 | residual |
    """
    rows = [header, *lines]
    text = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([text[0], "|" + "---|" * len(header), *text[1:]])
