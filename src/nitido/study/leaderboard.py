"""The ranking of a study: chosen on validation, reported on test, from rows alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

import polars as pl

from nitido.errors import NitidoError
from nitido.evaluation.aims import YARDSTICKS, Aim
from nitido.number_text import number_text
from nitido.study.statistics import StatisticsError, StudyStatistics, VariantStatistics, analyse

RANKED_BY = YARDSTICKS["fidelity"].metric


class LeaderboardError(NitidoError):
    """Rows that cannot be ranked together."""


@dataclass(frozen=True)
class VariantFacts:
    """What the leaderboard needs to know of a variant besides its rows.

    `learning_rates` are those whose every run finished; only they can be chosen. None for what is not trained.
    `aim` is what its training was after: a variant that aims at perception has no rank among those of fidelity.
    """

    parameters: int
    macs: int
    status: str = "ok"
    learning_rates: tuple[float, ...] | None = None
    aim: Aim = "fidelity"


@dataclass(frozen=True)
class Entry:
    """One line of the leaderboard.

    `means[dataset][metric]` is the mean over pictures, then over seeds; `deviations` holds the sample standard
    deviation over seeds where there are at least two. `rank` is None for a variant with a run that did not finish, or
    without results on every test set: it stays in the table, but a mean over fewer runs or sets is not comparable.
    A variant that aims at perception has no `rank` either, but a `perceptual_rank`; where perceptual distances were
    measured, every complete variant has one.
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
    aim: Aim = "fidelity"
    perceptual_rank: int | None = None

    @property
    def score(self) -> float | None:
        """PSNR-Y in dB, the mean over the test sets' means; None without results."""
        return self.mean(RANKED_BY)

    def mean(self, metric: str) -> float | None:
        """The mean of `metric` over the test sets' means; None without results."""
        values = [metrics[metric] for metrics in self.means.values() if metric in metrics]
        return fmean(values) if values else None

    def place(self, aim: Aim) -> int | None:
        """Its rank among all that are ranked for `aim`."""
        return self.rank if aim == "fidelity" else self.perceptual_rank


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
    statistics: Mapping[Aim, StudyStatistics] = field(default_factory=dict)
    caveats: Mapping[Aim, tuple[str, ...]] = field(default_factory=dict)

    def versus_baseline(self, variant: str, aim: Aim) -> VariantStatistics | None:
        """What is known of a variant's difference to the baseline; None for the baseline and for what has no place."""
        found = self.statistics[aim].variants if aim in self.statistics else ()
        return next((s for s in found if s.variant == variant and s.difference is not None), None)

    def best(self) -> Entry | None:
        """The first ranked trained variant, or None when nothing was trained to the end."""
        return next((e for e in self.entries if e.rank is not None and e.learning_rate is not None), None)

    def aims(self) -> tuple[Aim, ...]:
        """The rankings there are: fidelity always, perception where it was measured."""
        return ("fidelity", "perception") if any(e.perceptual_rank is not None for e in self.entries) else ("fidelity",)

    def ranked(self, aim: Aim) -> tuple[Entry, ...]:
        """The entries of one ranking, the best first, and behind them those that have no place in it."""
        if aim == "fidelity":
            return self.entries
        yardstick, last = YARDSTICKS[aim], len(self.entries) + 1
        means = {e.variant: e.mean(yardstick.metric) or math.inf for e in self.entries}
        return tuple(sorted(self.entries, key=lambda e: (e.place(aim) or last, yardstick.sort_key(means[e.variant]))))

    def entry(self, variant: str) -> Entry:
        """The line of `variant`; KeyError when it is not in the table."""
        for candidate in self.entries:
            if candidate.variant == variant:
                return candidate
        raise KeyError(variant)


def rank(
    rows: pl.DataFrame, facts: Mapping[str, VariantFacts], *, study: str, profile: str, baseline: str
) -> Leaderboard:
    """Rank every variant of `facts` that aims at fidelity by its mean test PSNR-Y, and all by perceptual distance.

    A variant's learning rate is the one that validated best by the yardstick of its aim; test rows of other learning
    rates are not looked at. Bicubic (null learning rate) is ranked among the variants. Raises `LeaderboardError` when
    the rows mix protocols or scales, or when there is nothing to rank.
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
    rankings: dict[Aim, _Ranking] = {
        "fidelity": _ranking([e for e in complete if e.aim == "fidelity"], rows, baseline, "fidelity")
    }
    if any(e.aim == "perception" for e in entries):
        rankings["perception"] = _ranking(complete, rows, baseline, "perception")
    looks = rankings.get("perception", _Ranking())
    places = rankings["fidelity"].places
    placed = [replace(e, rank=places.get(e.variant), perceptual_rank=looks.places.get(e.variant)) for e in entries]
    order = [*rankings["fidelity"].order, *looks.order, *(e.variant for e in entries)]
    ranked = sorted(placed, key=lambda e: order.index(e.variant))
    return Leaderboard(
        study=study,
        profile=profile,
        baseline=baseline,
        scale=rows["scale"][0],
        protocol=rows["protocol"][0],
        datasets=datasets,
        entries=tuple(ranked),
        statistics={aim: found.statistics for aim, found in rankings.items() if found.statistics is not None},
        caveats={aim: found.caveats for aim, found in rankings.items()},
    )


@dataclass(frozen=True)
class _Ranking:
    """The places of one aim: by variant, and the variants from the best mean to the worst."""

    places: Mapping[str, int] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    statistics: StudyStatistics | None = None
    caveats: tuple[str, ...] = ()


def _ranking(entries: Sequence[Entry], rows: pl.DataFrame, baseline: str, aim: Aim) -> _Ranking:
    """Rank `entries` by the yardstick of `aim`; those that cannot be told apart share a rank.

    With one seed everywhere nothing can be told apart: the ranks are then those of the means, and a caveat says so.
    """
    yardstick = YARDSTICKS[aim]
    means = {entry.variant: entry.mean(yardstick.metric) for entry in entries}
    known = {variant: mean for variant, mean in means.items() if mean is not None}
    by_mean = sorted(known, key=lambda variant: (yardstick.sort_key(known[variant]), variant))
    places = {variant: place for place, variant in enumerate(by_mean, start=1)}
    if baseline not in known:
        said = f"the baseline {baseline} has no result here: nothing is compared to it" if known else ""
        return _Ranking(places, tuple(by_mean), caveats=(said,) if said else ())
    chosen = [_chosen(rows, e.variant, e.learning_rate) for e in entries if e.variant in known]
    tested = pl.concat(chosen).filter((pl.col("split") == "test") & (pl.col("metric") == yardstick.metric))
    try:
        statistics = analyse(tested, baseline, higher_is_better=yardstick.higher_is_better)
    except StatisticsError as error:
        return _Ranking(places, tuple(by_mean), caveats=(f"no statistics: {error}",))
    if max(found.seeds for found in statistics.variants) > 1:
        places = {found.variant: found.rank for found in statistics.variants}
    return _Ranking(places, tuple(by_mean), statistics, statistics.caveats)


def _chosen(rows: pl.DataFrame, variant: str, learning_rate: float | None) -> pl.DataFrame:
    """The rows of a variant at its learning rate; null for what is not trained."""
    rate = pl.lit(learning_rate, pl.Float64)
    return rows.filter((pl.col("variant") == variant) & pl.col("lr").eq_missing(rate) & pl.col("value").is_not_nan())


def _entry(variant: str, rows: pl.DataFrame, facts: VariantFacts) -> Entry:
    rows = rows.filter(pl.col("value").is_not_nan())
    if facts.learning_rates is not None:
        rows = rows.filter(pl.col("lr").is_in(facts.learning_rates))
    learning_rate, validation = _choose_learning_rate(rows, facts.aim)
    chosen = rows.filter((pl.col("split") == "test") & pl.col("lr").eq_missing(pl.lit(learning_rate, pl.Float64)))
    means: dict[str, dict[str, float]] = {}
    deviations: dict[str, dict[str, float]] = {}
    per_seed = chosen.group_by("dataset", "metric", "seed", maintain_order=True).agg(pl.col("value").mean())
    for (dataset, metric), group in per_seed.group_by("dataset", "metric", maintain_order=True):
        values = group["value"].to_list()
        means.setdefault(str(dataset), {})[str(metric)] = fmean(values)
        if len(values) > 1 and all(map(math.isfinite, values)):
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
        aim=facts.aim,
    )


def _choose_learning_rate(rows: pl.DataFrame, aim: Aim) -> tuple[float | None, float | None]:
    """The learning rate that validated best over its seeds by the yardstick of `aim`, and that mean."""
    yardstick = YARDSTICKS[aim]
    validation = rows.filter((pl.col("split") == "validation") & (pl.col("metric") == yardstick.metric))
    if validation.is_empty():
        return None, None
    means = validation.group_by("lr").agg(pl.col("value").mean())
    means = means.sort("value", "lr", descending=[yardstick.higher_is_better, False])
    return means["lr"][0], means["value"][0]


def as_json(board: Leaderboard) -> dict[str, object]:
    """The leaderboard as plain data for `leaderboard.json`."""
    return {
        "study": board.study,
        "profile": board.profile,
        "baseline": board.baseline,
        "scale": board.scale,
        "protocol": board.protocol,
        "caveats": {aim: list(said) for aim, said in board.caveats.items()},
        "entries": [
            {
                "rank": entry.rank,
                "perceptual_rank": entry.perceptual_rank,
                "aim": entry.aim,
                "variant": entry.variant,
                "lr": entry.learning_rate,
                "seeds": list(entry.seeds),
                "parameters": entry.parameters,
                "macs": entry.macs,
                "status": entry.status,
                "validation": entry.validation,
                "metrics": entry.means,
                "deviations": entry.deviations,
                "versus_baseline": {aim: _as_plain(board.versus_baseline(entry.variant, aim)) for aim in board.aims()},
            }
            for entry in board.entries
        ],
    }


def _as_plain(known: VariantStatistics | None) -> dict[str, object] | None:
    if known is None or known.difference is None or known.improvement is None:
        return None
    interval = known.difference.interval
    return {
        "difference": known.difference.value,
        "interval": [interval.low, interval.high] if interval is not None else None,
        "covers": known.difference.covers,
        "p_value_holm": known.adjusted_p_value,
        "improves": known.improves,
        "probability_of_improvement": known.improvement.value,
        "wilcoxon_p_value_holm": known.wilcoxon_p_value,
        "rank_interval": [known.rank_interval.low, known.rank_interval.high],
    }


def as_table(board: Leaderboard, aim: Aim = "fidelity") -> tuple[list[str], list[list[str]]]:
    """Header and cells of a ranking for people; the difference column is to the baseline variant.

    The lines follow `board.ranked(aim)`.
    """
    yardstick = YARDSTICKS[aim]
    baseline = next((e.mean(yardstick.metric) for e in board.entries if e.variant == board.baseline), None)
    columns = "PSNR / SSIM" if aim == "fidelity" else "distance / PSNR"
    header = ["#", "variant", "lr", "seeds", "parameters", *(f"{d} {columns}" for d in board.datasets)]
    header += [f"Δ {board.baseline}", "beyond noise"]
    lines = []
    for entry in board.ranked(aim):
        mean, place = entry.mean(yardstick.metric), entry.place(aim)
        difference = mean - baseline if mean is not None and baseline is not None else math.nan
        known = board.versus_baseline(entry.variant, aim)
        lines.append(
            [
                str(place) if place is not None else "–",
                entry.variant + _remark(entry, aim),
                number_text(entry.learning_rate) if entry.learning_rate is not None else "–",
                ", ".join(map(str, entry.seeds)) or "–",
                f"{entry.parameters:,}" if entry.parameters else "–",
                *(_cell(entry, dataset, aim) for dataset in board.datasets),
                "–"
                if math.isnan(difference) or entry.variant == board.baseline
                else _difference(difference, known, aim),
                _verdict(known),
            ]
        )
    return header, lines


def _difference(value: float, known: VariantStatistics | None, aim: Aim) -> str:
    digits = YARDSTICKS[aim].decimals
    text = signed(value, digits) + (" dB" if aim == "fidelity" else "")
    if known is None or known.difference is None or known.difference.interval is None:
        return text
    low, high = known.difference.interval.low, known.difference.interval.high
    return f"{text} [{signed(low, digits)}, {signed(high, digits)}]"


def signed(value: float, digits: int) -> str:
    """A difference with its sign; zero has none.

    >>> signed(0.214, 2), signed(-0.001, 2)
    ('+0.21', '0.00')
    """
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def _verdict(known: VariantStatistics | None) -> str:
    """Whether a variant's difference to the baseline is more than noise."""
    if known is None or known.difference is None:
        return "–"
    if known.adjusted_p_value is None:
        return "unknown"
    return {True: "better", False: "worse", None: "no"}[known.improves]


def _remark(entry: Entry, aim: Aim) -> str:
    if entry.status != "ok":
        return f" ({entry.status})"
    return " (aims at perception)" if aim == "fidelity" and entry.aim == "perception" else ""


def _cell(entry: Entry, dataset: str, aim: Aim) -> str:
    metrics = entry.means.get(dataset, {})
    first = YARDSTICKS[aim]
    if first.metric not in metrics:
        return "–"
    spread = entry.deviations.get(dataset, {})
    shown = f"{metrics[first.metric]:.{first.decimals}f}"
    shown += f" ± {spread[first.metric]:.{first.decimals}f}" if first.metric in spread else ""
    return f"{shown} / {metrics['ssim_y']:.4f}" if aim == "fidelity" else f"{shown} / {metrics['psnr_y']:.2f}"


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
