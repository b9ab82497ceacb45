"""Summarize the result of a study in words: the best change, its interval, its cost and its significance."""

from collections.abc import Mapping
from dataclasses import dataclass

from nitido.evaluation.cost import agreed_ratio
from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.study.leaderboard import Entry, Leaderboard
from nitido.study.report import BICUBIC
from nitido.study.report.costs import Cost
from nitido.study.report.forest import figures
from nitido.study.report.formatting import change, listed, signed
from nitido.study.statistics import VariantStatistics

_NOTABLE = 0.05
"""Smallest relative difference of time that the headline mentions."""


@dataclass(frozen=True)
class Verdict:
    """The result for one objective, with further sentences and caveats."""

    objective: Objective
    headline: str
    sentences: tuple[str, ...]
    caveats: tuple[str, ...]

    @property
    def text(self) -> str:
        """Headline and sentences as one paragraph."""
        return " ".join([self.headline, *self.sentences])


def verdict(board: Leaderboard, objective: Objective = "fidelity", costs: Mapping[str, Cost] | None = None) -> Verdict:
    """Return the verdict for one objective. It calls a variant better only if the difference is significant."""
    sentences = [*_over_bicubic(board, objective), *_others(board, objective)]
    if objective == "fidelity":
        sentences += _unfinished(board)
    return Verdict(
        objective, _headline(board, objective, costs or {}), tuple(sentences), tuple(board.caveats.get(objective, ()))
    )


def _belongs(entry: Entry, objective: Objective) -> bool:
    """Return whether an entry belongs to the ranking of `objective`; the one of perception contains all variants."""
    return objective == "perception" or entry.objective == objective


def _group(board: Leaderboard, objective: Objective) -> str:
    """Return the words that restrict "no variant" to one objective; empty if all variants have this objective."""
    return "" if all(_belongs(entry, objective) for entry in board.entries) else f" with the objective {objective}"


def _is_behind_bicubic(board: Leaderboard, entry: Entry, objective: Objective) -> bool:
    """Return whether bicubic has a better mean than `entry`."""
    selection_metric = SELECTION_METRICS[objective]
    means = [e.mean(selection_metric.metric) for e in board.entries if e.variant == BICUBIC]
    mean, zero = entry.mean(selection_metric.metric), means[0] if means else None
    if mean is None or zero is None:
        return False
    return selection_metric.sort_key(mean) > selection_metric.sort_key(zero)


def _trained(board: Leaderboard, objective: Objective) -> list[Entry]:
    """Return the ranked trained variants, best first."""
    return [e for e in board.ranked(objective) if e.place(objective) is not None and e.learning_rate is not None]


def _headline(board: Leaderboard, objective: Objective, costs: Mapping[str, Cost]) -> str:
    """Return the result of one objective in one or two sentences."""
    trained = _trained(board, objective)
    group = _group(board, objective)
    if not trained:
        return f"No trained variant{group} has a result yet."
    if all(entry.variant != board.baseline for entry in trained) and board.baseline != BICUBIC:
        first = trained[0]
        value = _value(first, objective)
        lack = "has no result" if _belongs(board.entry(board.baseline), objective) else "has another objective"
        among = " of the trained variants" if _is_behind_bicubic(board, first, objective) else ""
        return f"{first.variant} has the best mean{among} with {value}; the baseline {board.baseline} {lack}."
    changes = [entry for entry in trained if entry.variant != board.baseline]
    if not changes:
        value = _value(trained[0], objective)
        others = [e for e in board.entries if e.variant not in (board.baseline, BICUBIC) and _belongs(e, objective)]
        if group and not others:
            return f"Nothing to compare: only the baseline {board.baseline} has the objective {objective} ({value})."
        among = f"among the variants{group}, " if group else ""
        return f"Nothing to compare yet: {among}only the baseline {board.baseline} has a result ({value})."
    known = {entry.variant: board.versus_baseline(entry.variant, objective) for entry in changes}
    improving = [entry for entry in changes if (found := known[entry.variant]) is not None and found.improves]
    first = (improving or changes)[0]
    behind = _is_behind_bicubic(board, trained[0], objective)
    among = " of these variants" if group else " of the trained variants" if behind else ""
    gain = _gain(board, first, objective, costs)
    return _judged(first.variant, gain, known[first.variant], board, trained[0], group, among)


def _judged(
    variant: str,
    gain: str,
    known: VariantStatistics | None,
    board: Leaderboard,
    first: Entry,
    group: str,
    among: str,
) -> str:
    """Return the headline for `variant`, the best change; `first` is the best trained variant."""
    if known is not None and known.improves:
        return f"{variant} is significantly better: {gain}."
    if known is not None and known.improves is False:
        return f"No change{group} improves on {board.baseline}. The closest, {variant}, is significantly worse: {gain}."
    if known is not None and known.difference is not None and known.difference.value == 0:
        evidence = f"{board.baseline} and {variant} have the same mean: {gain}."
    elif first.variant == board.baseline:
        evidence = f"{board.baseline} has the best mean{among}. Closest: {variant}, {gain}."
    else:
        evidence = f"Best mean{among}: {variant}, {gain}."
    if known is None or known.adjusted_p_value is None:
        return f"{_inconclusive(known)}. {evidence}"
    return f"No change{group} improves significantly on {board.baseline}. {evidence}"


def _inconclusive(known: VariantStatistics | None) -> str:
    """Say why there is no p-value."""
    if known is None:
        return "Inconclusive: no statistics"
    if known.difference is not None and known.difference.interval is None:
        return "Inconclusive: a test set has a single image"
    return "Inconclusive: one seed only"


def _gain(board: Leaderboard, entry: Entry, objective: Objective, costs: Mapping[str, Cost]) -> str:
    """Return the difference to the baseline with its interval, and the difference in cost."""
    metric, base = SELECTION_METRICS[objective].metric, board.entry(board.baseline)
    known = board.versus_baseline(entry.variant, objective)
    if known is not None and known.difference is not None:
        amount, _, span = figures(known.difference, objective).partition(" ")
    else:
        mean, zero = entry.mean(metric), base.mean(metric)
        assert mean is not None  # ranked entries have a mean
        assert zero is not None
        amount, span = signed(mean - zero, SELECTION_METRICS[objective].decimals), ""
    unit = " dB" if objective == "fidelity" else " perceptual distance"
    over = "over" if amount.startswith("+") and objective == "fidelity" else "compared with"
    price = f" {_cost(entry, base, costs)}" if base.parameters and entry.parameters else ""
    return f"{amount}{unit}{' ' if span else ''}{span} {over} {board.baseline}{price}"


def _cost(entry: Entry, base: Entry, costs: Mapping[str, Cost]) -> str:
    words = f"with {change(entry.parameters, base.parameters, 'parameters')}"
    here, there = (costs[e.variant].rounds if e.variant in costs else () for e in (entry, base))
    ratio = agreed_ratio(here, there)
    if ratio is not None and abs(ratio - 1) >= _NOTABLE:
        words += f" and {change(ratio, 1.0, 'time', 'less')} per image"
    return words


def _value(entry: Entry, objective: Objective) -> str:
    selection_metric = SELECTION_METRICS[objective]
    mean = entry.mean(selection_metric.metric)
    assert mean is not None  # ranked entries have a mean
    return selection_metric.text(mean) + (" dB" if objective == "fidelity" else "")


def _over_bicubic(board: Leaderboard, objective: Objective) -> list[str]:
    """Compare the best trained variant with bicubic."""
    selection_metric, trained = SELECTION_METRICS[objective], _trained(board, objective)
    bicubic = next((e for e in board.entries if e.variant == BICUBIC), None)
    zero = bicubic.mean(selection_metric.metric) if bicubic is not None else None
    if not trained or zero is None or board.baseline == BICUBIC:
        return []
    best = trained[0]
    mean = best.mean(selection_metric.metric)
    assert mean is not None  # ranked entries have a mean
    unit = " dB" if objective == "fidelity" else ""
    group = _group(board, objective)
    if selection_metric.sort_key(mean) >= selection_metric.sort_key(zero):
        level = f"{selection_metric.text(zero)}{unit}"
        value = _value(best, objective)
        return [f"No variant{group} beats bicubic: the best, {best.variant}, has {value}, bicubic {level}."]
    where = f" on {listed(list(board.datasets))}"
    gain = signed(mean - zero, selection_metric.decimals)
    first = f"The best of the variants{group}, {best.variant}," if group else best.variant
    return [f"{first} has a mean of {_value(best, objective)}{where}, {gain}{unit} compared with bicubic."]


def _others(board: Leaderboard, objective: Objective) -> list[str]:
    """Name every variant that differs significantly from the baseline."""
    known = [board.versus_baseline(entry.variant, objective) for entry in _trained(board, objective)]
    sides = {side: [s.variant for s in known if s is not None and s.improves is side] for side in (True, False)}
    said = [f"Significantly better: {listed(sides[True])}."] if len(sides[True]) > 1 else []
    return said + ([f"Significantly worse: {listed(sides[False])}."] if sides[False] else [])


def _unfinished(board: Leaderboard) -> list[str]:
    """Name the unranked variants with the reason."""
    failed = [f"{e.variant} ({e.status})" for e in board.entries if e.status not in ("ok", "incomplete")]
    incomplete = [entry.variant for entry in board.entries if entry.status == "incomplete"]
    said = [f"Unranked because not all runs finished: {listed(failed)}."] if failed else []
    return said + ([f"Unranked because values are missing: {listed(incomplete)}."] if incomplete else [])
