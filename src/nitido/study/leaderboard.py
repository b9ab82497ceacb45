"""Rank a study from its rows: chosen on validation images, reported on test images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

import polars as pl

from nitido.base.errors import NitidoError
from nitido.base.number_text import number_text
from nitido.evaluation.metrics import METRICS
from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.evaluation.protocol import PSNR_CAP
from nitido.study.statistics import StatisticsError, StudyStatistics, VariantStatistics, analyze

RANKED_BY = SELECTION_METRICS["fidelity"].metric


class LeaderboardError(NitidoError):
    """The rows cannot be ranked together."""


@dataclass(frozen=True)
class VariantFacts:
    """What the leaderboard needs to know about a variant besides its rows.

    `learning_rates` are those whose every run finished; only they can be chosen. None for bicubic.
    `unfinished` says of the other learning rates why they cannot be chosen ("diverged", "missing").
    `objective` is what its training optimizes: a variant that optimizes perception is not ranked by fidelity.
    """

    parameters: int
    macs: int
    status: str = "ok"
    learning_rates: tuple[float, ...] | None = None
    objective: Objective = "fidelity"
    unfinished: Mapping[float, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TriedRate:
    """A learning rate of a variant: its result on the validation images, or why it could not be chosen.

    `value` is the mean over the images, then over the `seeds`; None for a rate that could not be chosen.
    """

    learning_rate: float
    value: float | None
    seeds: tuple[int, ...]
    status: str


@dataclass(frozen=True)
class Choice:
    """How the learning rate of a variant was chosen: by `metric` on whole validation images, after training."""

    metric: str
    images: int
    rates: tuple[TriedRate, ...]


@dataclass(frozen=True)
class Entry:
    """One line of the leaderboard.

    `means[dataset][metric]` is the mean over images, then over seeds; `deviations` holds the sample standard
    deviation over seeds where there are at least two. `rank` is None for a variant with a run that did not finish, or
    without results on every test set: it stays in the table, but a mean over fewer runs or sets is not comparable.
    A variant with the objective perception has no `rank` either, but a `perceptual_rank`; if perceptual distances were
    measured, every complete variant has one.

    A mean is over the same images for every variant, each measured with each of the variant's seeds. A metric that
    lacks one of these values on a test set has no mean there, and `gaps` says by metric what it lacks.
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
    objective: Objective = "fidelity"
    perceptual_rank: int | None = None
    choice: Choice | None = None
    gaps: Mapping[str, str] = field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """The mean PSNR-Y of the test sets in dB; None without results."""
        return self.mean(RANKED_BY)

    def mean(self, metric: str) -> float | None:
        """Return the mean of `metric` over the means of the test sets; None if a value is missing."""
        if metric in self.gaps:
            return None
        values = [metrics[metric] for metrics in self.means.values() if metric in metrics]
        return fmean(values) if values else None

    @property
    def decided(self) -> bool:
        """Whether its learning rate is final: no run that could change the choice is still to come."""
        return self.status in ("ok", "incomplete")

    def place(self, objective: Objective) -> int | None:
        """Return its rank for `objective`, None if it is unranked."""
        return self.rank if objective == "fidelity" else self.perceptual_rank


@dataclass(frozen=True)
class Leaderboard:
    """A ranked study. Differences are to the variant `baseline`."""

    study: str
    profile: str
    baseline: str
    scale: int
    protocol: str
    datasets: tuple[str, ...]
    entries: tuple[Entry, ...]
    statistics: Mapping[Objective, StudyStatistics] = field(default_factory=dict)
    caveats: Mapping[Objective, tuple[str, ...]] = field(default_factory=dict)

    def versus_baseline(self, variant: str, objective: Objective) -> VariantStatistics | None:
        """Return statistics of the difference to the baseline; None for the baseline and unranked variants."""
        found = self.statistics[objective].variants if objective in self.statistics else ()
        return next((s for s in found if s.variant == variant and s.difference is not None), None)

    def best(self) -> Entry | None:
        """Return the best trained variant, or None if no run has finished."""
        return next((e for e in self.entries if e.rank is not None and e.learning_rate is not None), None)

    def objectives(self) -> tuple[Objective, ...]:
        """Return the objectives that have a ranking: fidelity always, perception if it was measured."""
        return ("fidelity", "perception") if any(e.perceptual_rank is not None for e in self.entries) else ("fidelity",)

    def ranked(self, objective: Objective) -> tuple[Entry, ...]:
        """Return the entries of one ranking, best first, followed by the unranked ones."""
        if objective == "fidelity":
            return self.entries
        selection_metric, last = SELECTION_METRICS[objective], len(self.entries) + 1
        means = {e.variant: e.mean(selection_metric.metric) for e in self.entries}

        def key(entry: Entry) -> tuple[int, float]:
            mean = means[entry.variant]
            return entry.place(objective) or last, selection_metric.sort_key(mean) if mean is not None else math.inf

        return tuple(sorted(self.entries, key=key))

    def entry(self, variant: str) -> Entry:
        """Return the entry of `variant`; raise KeyError if it is not in the table."""
        for candidate in self.entries:
            if candidate.variant == variant:
                return candidate
        raise KeyError(variant)


def rank(
    rows: pl.DataFrame, facts: Mapping[str, VariantFacts], *, study: str, profile: str, baseline: str
) -> Leaderboard:
    """Rank the variants of `facts` that optimize fidelity by their mean test PSNR-Y, and all by perceptual distance.

    A variant's learning rate is the one with the best validation by the selection metric of its objective; test rows of
    other learning rates are ignored. Bicubic (null learning rate) is ranked too. Values that are no finite number
    count as missing, and a variant that lacks a value that others have is "incomplete": it has no rank.

    Raises `LeaderboardError` when the rows mix protocols or scales, hold a value twice, or when there are none.
    """
    if rows.is_empty():
        raise LeaderboardError(f"study {study!r} has no results yet: run it first")
    for column in ("protocol", "scale"):
        found = rows[column].unique().sort().to_list()
        if len(found) > 1:
            raise LeaderboardError(f"rows of different {column}s cannot be ranked together: {found[0]} and {found[1]}")
    _refuse_duplicates(rows)
    datasets = tuple(rows.filter(pl.col("split") == "test")["dataset"].unique(maintain_order=True).to_list())
    scale, protocol = rows["scale"][0], rows["protocol"][0]
    rows = rows.filter(pl.col("value").is_finite())
    images = _images(rows)
    entries = [_entry(variant, rows, known, images) for variant, known in facts.items()]
    complete = [e for e in entries if e.status == "ok" and set(e.means) == set(datasets)]
    fidelity = [e for e in complete if e.objective == "fidelity"]
    elsewhere = any(e.variant == baseline and e.objective != "fidelity" for e in entries)
    lack = "has another objective" if elsewhere else "has no result here"
    rankings: dict[Objective, _Ranking] = {"fidelity": _ranking(fidelity, rows, baseline, "fidelity", lack)}
    if any(e.objective == "perception" for e in entries):
        rankings["perception"] = _ranking(complete, rows, baseline, "perception")
    looks = rankings.get("perception", _Ranking())
    limited = {objective: _limited(rows, entries, objective) for objective in rankings}
    places = rankings["fidelity"].places
    placed = [replace(e, rank=places.get(e.variant), perceptual_rank=looks.places.get(e.variant)) for e in entries]
    order = [*rankings["fidelity"].order, *looks.order, *(e.variant for e in entries)]
    ranked = sorted(placed, key=lambda e: order.index(e.variant))
    return Leaderboard(
        study=study,
        profile=profile,
        baseline=baseline,
        scale=scale,
        protocol=protocol,
        datasets=datasets,
        entries=tuple(ranked),
        statistics={
            objective: found.statistics for objective, found in rankings.items() if found.statistics is not None
        },
        caveats={
            objective: (*_doubts(entries, objective), *found.caveats, *limited[objective])
            for objective, found in rankings.items()
        },
    )


_IDENTITY = ("variant", "lr", "seed", "checkpoint", "split", "dataset", "image", "metric")
"""The columns that identify a value."""


def _refuse_duplicates(rows: pl.DataFrame) -> None:
    """Raise `LeaderboardError` for a duplicate value, which would count twice."""
    twice = rows.filter(rows.select(_IDENTITY).is_duplicated())
    if not twice.is_empty():
        first = twice.row(0, named=True)
        seed = "" if first["seed"] is None else f" with seed {first['seed']}"
        raise LeaderboardError(
            f"variant {first['variant']!r} has {len(twice)} values that are not unique, the first of them "
            f"{first['metric']} of {first['image']} in {first['dataset']}{seed}: remove the rows.parquet of the run "
            "that does not belong here"
        )


_Images = Mapping[tuple[str, str, str], frozenset[str]]
"""(split, data set, metric) -> all images of the set with any measurement."""


def _images(rows: pl.DataFrame) -> _Images:
    """Return the images that every metric must have: those with any measurement.

    If only the images of the metric itself counted, a mean over a part of the set would look like one over all.
    """
    sets = rows.group_by("split", "dataset", maintain_order=True).agg(pl.col("image").unique())
    metrics = {split: group["metric"].unique(maintain_order=True) for (split,), group in rows.group_by("split")}
    return {
        (split, dataset, metric): frozenset(names)
        for split, dataset, names in sets.iter_rows()
        for metric in metrics[split]
    }


def _doubts(entries: Sequence[Entry], objective: Objective) -> list[str]:
    """Return the caveats of means and choices: variants with missing values, tied learning rates."""
    metric = SELECTION_METRICS[objective].metric
    said = [f"{e.variant} is not ranked: it {e.gaps[metric]}" for e in entries if metric in e.gaps]
    said += _gaps(entries) if objective == "fidelity" else []
    for entry in entries:
        if entry.choice is None or entry.choice.metric != metric or entry.learning_rate is None:
            continue
        tied = [rate.learning_rate for rate in entry.choice.rates if rate.value == entry.validation]
        if len(tied) > 1:
            rates = " and ".join(map(number_text, sorted(tied)))
            said.append(f"the learning rates {rates} of {entry.variant} validated equally: the smallest was taken")
    return said


def _limited(rows: pl.DataFrame, entries: Sequence[Entry], objective: Objective) -> list[str]:
    """Return the caveat of test images whose PSNR is limited to `PSNR_CAP`, if the ranking is by PSNR."""
    metric = SELECTION_METRICS[objective].metric
    if METRICS[metric].unit != "dB" or not entries:
        return []
    chosen = pl.concat([_chosen(rows, entry.variant, entry.learning_rate) for entry in entries])
    reached = chosen.filter((pl.col("split") == "test") & (pl.col("metric") == metric) & (pl.col("value") == PSNR_CAP))
    if reached.is_empty():
        return []
    first = reached.row(0, named=True)
    are = "1 value of the PSNR is" if len(reached) == 1 else f"{len(reached)} values of the PSNR are"
    return [
        f"{are} limited to {PSNR_CAP:g} dB (the first: {first['variant']} on {first['image']} of {first['dataset']}): "
        "means and differences depend on this limit"
    ]


def _gaps(entries: Sequence[Entry]) -> list[str]:
    """Name the metrics that rank nothing and have no mean over the test sets, with the first variant that lacks one."""
    ranking = {selection_metric.metric for selection_metric in SELECTION_METRICS.values()}
    lacking: dict[str, list[Entry]] = {}
    for entry in entries:
        for name in entry.gaps.keys() - ranking:
            lacking.setdefault(name, []).append(entry)
    said = []
    for name, those in sorted(lacking.items()):
        others = f", as {_count(len(those) - 1, 'other variant')}" if len(those) > 1 else ""
        said.append(f"{name} has no mean over the test sets: {those[0].variant} {those[0].gaps[name]}{others}")
    return said


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"


@dataclass(frozen=True)
class _Ranking:
    """The ranking for one objective: rank by variant, and the variants from the best mean to the worst."""

    places: Mapping[str, int] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    statistics: StudyStatistics | None = None
    caveats: tuple[str, ...] = ()


def _ranking(
    entries: Sequence[Entry], rows: pl.DataFrame, baseline: str, objective: Objective, lack: str = "has no result here"
) -> _Ranking:
    """Rank `entries` by the selection metric of `objective`; without a significant difference they share a rank.

    `lack` says why the baseline may be missing. With one seed everywhere, differences are inconclusive: the ranks are
    those of the means, and a caveat says so.
    """
    selection_metric = SELECTION_METRICS[objective]
    means = {entry.variant: entry.mean(selection_metric.metric) for entry in entries}
    known = {variant: mean for variant, mean in means.items() if mean is not None}
    by_mean = sorted(known, key=lambda variant: (selection_metric.sort_key(known[variant]), variant))
    keys = {variant: selection_metric.sort_key(mean) for variant, mean in known.items()}
    places = {variant: 1 + sum(other < keys[variant] for other in keys.values()) for variant in by_mean}
    if not known:
        return _Ranking(places, tuple(by_mean))
    base = baseline if baseline in known else None
    said = () if base else (f"the baseline {baseline} {lack}: there are no differences to it",)
    chosen = [_chosen(rows, e.variant, e.learning_rate) for e in entries if e.variant in known]
    tested = pl.concat(chosen).filter((pl.col("split") == "test") & (pl.col("metric") == selection_metric.metric))
    try:
        statistics = analyze(tested, base, higher_is_better=selection_metric.higher_is_better)
    except StatisticsError as error:
        return _Ranking(places, tuple(by_mean), caveats=(*said, f"no statistics: {error}"))
    if max(found.seeds for found in statistics.variants) > 1:
        places = {found.variant: found.rank for found in statistics.variants}
    return _Ranking(places, tuple(by_mean), statistics, (*said, *statistics.caveats))


def _chosen(rows: pl.DataFrame, variant: str, learning_rate: float | None) -> pl.DataFrame:
    """Return the rows of a variant at its learning rate, which is null for bicubic."""
    rate = pl.lit(learning_rate, pl.Float64)
    return rows.filter((pl.col("variant") == variant) & pl.col("lr").eq_missing(rate) & pl.col("value").is_not_nan())


def _entry(variant: str, rows: pl.DataFrame, facts: VariantFacts, images: _Images) -> Entry:
    rows = rows.filter(pl.col("variant") == variant)
    choice = _choice(rows, facts, images)
    best = _best_rate(choice, facts.objective)
    learning_rate = best.learning_rate if best is not None else None
    chosen = rows.filter((pl.col("split") == "test") & pl.col("lr").eq_missing(pl.lit(learning_rate, pl.Float64)))
    seeds = chosen["seed"].unique().sort()
    means: dict[str, dict[str, float]] = {}
    deviations: dict[str, dict[str, float]] = {}
    gaps: dict[str, str] = {}
    if facts.status == "ok" and choice is not None and best is None:
        gaps[SELECTION_METRICS[facts.objective].metric] = "has no learning rate with a value of every validation image"
    measured = {(d, m): group for (d, m), group in chosen.group_by("dataset", "metric", maintain_order=True)}
    tested = [(dataset, metric) for split, dataset, metric in images if split == "test"]
    for dataset, metric in tested if not chosen.is_empty() else []:
        group = measured.get((dataset, metric), chosen.clear())
        lacking = _lacking(group, images["test", dataset, metric], seeds)
        if lacking:
            gaps.setdefault(metric, f"{lacking} of {metric} on {dataset}")
            continue
        values = group.group_by("seed", maintain_order=True).agg(pl.col("value").mean())["value"].to_list()
        means.setdefault(dataset, {})[metric] = fmean(values)
        if len(values) > 1:
            deviations.setdefault(dataset, {})[metric] = stdev(values)
    return Entry(
        rank=None,
        variant=variant,
        learning_rate=learning_rate,
        seeds=tuple(seeds.drop_nulls().to_list()),
        parameters=facts.parameters,
        macs=facts.macs,
        status="incomplete"
        if facts.status == "ok" and gaps.keys() & {RANKED_BY, SELECTION_METRICS[facts.objective].metric}
        else facts.status,
        validation=best.value if best is not None else None,
        means=means,
        deviations=deviations,
        objective=facts.objective,
        choice=choice,
        gaps=gaps,
    )


def _lacking(values: pl.DataFrame, images: frozenset[str], seeds: pl.Series) -> str:
    """Return in words which of the values of every image with every seed are not there; "" if all are."""
    every = pl.DataFrame({"image": sorted(images)}, schema={"image": pl.String}).join(
        seeds.to_frame("seed"), how="cross"
    )
    missing = every.join(values, on=["image", "seed"], how="anti", nulls_equal=True)
    if missing.is_empty():
        return ""
    image, seed = missing.row(0)
    first = image if seed is None else f"{image} with seed {seed}"
    return f"lacks {len(missing)} of {len(every)} values (the first: {first})"


def _choice(rows: pl.DataFrame, facts: VariantFacts, images: _Images) -> Choice | None:
    """Return the validations of each learning rate by the variant's selection metric; None without training.

    Only learning rates that have a value of every validation image with every seed can be compared.
    """
    metric = SELECTION_METRICS[facts.objective].metric
    validation = rows.filter(
        (pl.col("split") == "validation") & (pl.col("metric") == metric) & pl.col("lr").is_not_null()
    )
    known = {dataset: names for (split, dataset, m), names in images.items() if (split, m) == ("validation", metric)}
    rates = _rates(validation, facts)
    tried = []
    for rate, status in rates.items():
        own = validation.filter(pl.col("lr") == rate)
        seeds = own["seed"].unique().sort()
        gaps = [_lacking(own.filter(pl.col("dataset") == name), known[name], seeds) for name in known]
        status = status or ("not measured" if own.is_empty() else next((gap for gap in gaps if gap), ""))
        per_seed = own.group_by("seed").agg(pl.col("value").mean())["value"]
        value = fmean(per_seed) if not status else None
        tried.append(TriedRate(rate, value, tuple(seeds.drop_nulls().to_list()), status or "ok"))
    return Choice(metric, sum(map(len, known.values())), tuple(tried)) if tried else None


def _rates(validation: pl.DataFrame, facts: VariantFacts) -> dict[float, str]:
    """Return the learning rates of a variant in their order, each with why it cannot be chosen, or ""."""
    found = facts.learning_rates
    finished = validation["lr"].unique().to_list() if found is None else found
    return dict(sorted((dict.fromkeys(finished, "") | dict(facts.unfinished)).items()))


def _best_rate(choice: Choice | None, objective: Objective) -> TriedRate | None:
    """Return the learning rate that validated best; of equal ones the smallest."""
    if choice is None:
        return None
    selection_metric = SELECTION_METRICS[objective]
    known = [(selection_metric.sort_key(rate.value), rate) for rate in choice.rates if rate.value is not None]
    return min(known, key=lambda found: (found[0], found[1].learning_rate))[1] if known else None
