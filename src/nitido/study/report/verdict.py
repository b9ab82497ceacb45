"""What a study found, in words: the change, its interval, its cost, and whether it is more than noise."""

from collections.abc import Mapping
from dataclasses import dataclass

from nitido.evaluation.cost import agreed_ratio
from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.study.leaderboard import Entry, Leaderboard
from nitido.study.report import BICUBIC
from nitido.study.report.costs import Cost
from nitido.study.report.forest import figures
from nitido.study.report.words import change, listed, signed
from nitido.study.statistics import VariantStatistics

_NOTABLE = 0.05
"""A share of time that is worth a word."""


@dataclass(frozen=True)
class Verdict:
    """The answer for one aim, what belongs to it, and what to know before believing it."""

    objective: Objective
    headline: str
    sentences: tuple[str, ...]
    caveats: tuple[str, ...]

    @property
    def text(self) -> str:
        """Headline and sentences in one paragraph."""
        return " ".join([self.headline, *self.sentences])


def verdict(board: Leaderboard, objective: Objective = "fidelity", costs: Mapping[str, Cost] | None = None) -> Verdict:
    """The verdict of one aim. It never calls a variant better that cannot be told from noise."""
    sentences = [*_over_bicubic(board, objective), *_others(board, objective)]
    if objective == "fidelity":
        sentences += _unfinished(board)
    return Verdict(
        objective, _headline(board, objective, costs or {}), tuple(sentences), tuple(board.caveats.get(objective, ()))
    )


def _aims(entry: Entry, objective: Objective) -> bool:
    """Whether an entry belongs to a ranking: one of perception has every variant in it."""
    return objective == "perception" or entry.objective == objective


def _group(board: Leaderboard, objective: Objective) -> str:
    """What "no variant" and "the best" are said of, where others have results too; empty where they are all."""
    return "" if all(_aims(entry, objective) for entry in board.entries) else f" that aims at {objective}"


def _is_behind_bicubic(board: Leaderboard, entry: Entry, objective: Objective) -> bool:
    """Whether bicubic, which is no trained variant, has a better mean than `entry`."""
    selection_metric = SELECTION_METRICS[objective]
    means = [e.mean(selection_metric.metric) for e in board.entries if e.variant == BICUBIC]
    mean, zero = entry.mean(selection_metric.metric), means[0] if means else None
    if mean is None or zero is None:
        return False
    return selection_metric.sort_key(mean) > selection_metric.sort_key(zero)


def _trained(board: Leaderboard, objective: Objective) -> list[Entry]:
    """The trained variants that have a place, the best first."""
    return [e for e in board.ranked(objective) if e.place(objective) is not None and e.learning_rate is not None]


def _headline(board: Leaderboard, objective: Objective, costs: Mapping[str, Cost]) -> str:
    trained = _trained(board, objective)
    group = _group(board, objective)
    if not trained:
        return f"No trained variant{group} has a result yet."
    if all(entry.variant != board.baseline for entry in trained) and board.baseline != BICUBIC:
        first = trained[0]
        value = _value(first, objective)
        lack = "has no result" if _aims(board.entry(board.baseline), objective) else f"does not aim at {objective}"
        place = "is the best trained variant" if _is_behind_bicubic(board, first, objective) else "ranks first"
        return f"{first.variant} {place} with {value}; {board.baseline}, the baseline, {lack}."
    changes = [entry for entry in trained if entry.variant != board.baseline]
    if not changes:
        value = _value(trained[0], objective)
        others = [e for e in board.entries if e.variant not in (board.baseline, BICUBIC) and _aims(e, objective)]
        if group and not others:
            return f"Nothing to compare: no variant but {board.baseline}, the baseline, aims at {objective} ({value})."
        only = f"of the variants{group.replace('aims', 'aim')}, only" if group else "only"
        return f"Nothing to compare yet: {only} {board.baseline}, the baseline, has a result ({value})."
    known = {entry.variant: board.versus_baseline(entry.variant, objective) for entry in changes}
    improving = [entry for entry in changes if (found := known[entry.variant]) is not None and found.improves]
    first = (improving or changes)[0]
    among = " of those" if group else " of the trained" if _is_behind_bicubic(board, trained[0], objective) else ""
    return _judged(_gain(board, first, objective, costs), known[first.variant], board, trained[0], group, among)


def _judged(
    gain: str, known: VariantStatistics | None, board: Leaderboard, first: Entry, group: str, among: str
) -> str:
    if known is None or known.adjusted_p_value is None:
        return f"{_unknown(known)}: {gain}."
    if known.improves:
        return f"{gain}: better beyond noise."
    if known.improves is False:
        return f"No change{group} improved on {board.baseline}: the nearest, {gain}, is worse beyond noise."
    best = f"the best mean{among}"
    nearest = f"{board.baseline} has {best}; the nearest" if first.variant == board.baseline else best
    return f"No change{group} can be told from noise: {nearest}, {gain}."


def _unknown(known: VariantStatistics | None) -> str:
    """Why nothing can be said about noise."""
    if known is None:
        return "Cannot be told from noise, for want of statistics"
    if known.difference is not None and known.difference.interval is None:
        return "Cannot be told from noise, as a test set has a single picture"
    return "Cannot be told from noise with one seed"


def _gain(board: Leaderboard, entry: Entry, objective: Objective, costs: Mapping[str, Cost]) -> str:
    """Who, by how much, over what, at what cost."""
    metric, base = SELECTION_METRICS[objective].metric, board.entry(board.baseline)
    known = board.versus_baseline(entry.variant, objective)
    if known is not None and known.difference is not None:
        amount, _, span = figures(known.difference, objective).partition(" ")
    else:
        mean, zero = entry.mean(metric), base.mean(metric)
        assert mean is not None  # whoever has a place has a mean
        assert zero is not None
        amount, span = signed(mean - zero, SELECTION_METRICS[objective].decimals), ""
    unit = " dB" if objective == "fidelity" else " perceptual distance"
    over = "over" if amount.startswith("+") and objective == "fidelity" else "against"
    price = f" {_cost(entry, base, costs)}" if base.parameters and entry.parameters else ""
    return f"{entry.variant}: {amount}{unit}{' ' if span else ''}{span} {over} {board.baseline}{price}"


def _cost(entry: Entry, base: Entry, costs: Mapping[str, Cost]) -> str:
    words = f"with {change(entry.parameters, base.parameters, 'parameters')}"
    here, there = (costs[e.variant].rounds if e.variant in costs else () for e in (entry, base))
    ratio = agreed_ratio(here, there)
    if ratio is not None and abs(ratio - 1) >= _NOTABLE:
        words += f" and {change(ratio, 1.0, 'time', 'less')} a picture"
    return words


def _value(entry: Entry, objective: Objective) -> str:
    selection_metric = SELECTION_METRICS[objective]
    return f"{entry.mean(selection_metric.metric):.{selection_metric.decimals}f}" + (
        " dB" if objective == "fidelity" else ""
    )


def _over_bicubic(board: Leaderboard, objective: Objective) -> list[str]:
    """Whether the best trained variant is any better than no network at all."""
    selection_metric, trained = SELECTION_METRICS[objective], _trained(board, objective)
    bicubic = next((e for e in board.entries if e.variant == BICUBIC), None)
    zero = bicubic.mean(selection_metric.metric) if bicubic is not None else None
    if not trained or zero is None or board.baseline == BICUBIC:
        return []
    best = trained[0]
    mean = best.mean(selection_metric.metric)
    assert mean is not None  # whoever has a place has a mean
    unit = " dB" if objective == "fidelity" else ""
    group = _group(board, objective)
    if selection_metric.sort_key(mean) >= selection_metric.sort_key(zero):
        against = f"{zero:.{selection_metric.decimals}f}{unit}"
        value = _value(best, objective)
        return [f"No variant{group} beats bicubic: the best, {best.variant}, has {value} against {against}."]
    where = f" on {listed(list(board.datasets))}"
    gain = signed(mean - zero, selection_metric.decimals)
    of = f" of a variant{group}" if group else ""
    return [f"The best mean{of}, {best.variant}, is {_value(best, objective)}{where}, {gain}{unit} against bicubic."]


def _others(board: Leaderboard, objective: Objective) -> list[str]:
    """Every variant that differs from the baseline beyond noise."""
    known = [board.versus_baseline(entry.variant, objective) for entry in _trained(board, objective)]
    sides = {side: [s.variant for s in known if s is not None and s.improves is side] for side in (True, False)}
    said = [f"Better beyond noise: {listed(sides[True])}."] if len(sides[True]) > 1 else []
    return said + ([f"Worse beyond noise: {listed(sides[False])}."] if sides[False] else [])


def _unfinished(board: Leaderboard) -> list[str]:
    failed = [f"{e.variant} ({e.status})" for e in board.entries if e.status not in ("ok", "incomplete")]
    incomplete = [entry.variant for entry in board.entries if entry.status == "incomplete"]
    said = [f"Without a rank, since not all runs finished: {listed(failed)}."] if failed else []
    return said + ([f"Without a rank, since values are missing: {listed(incomplete)}."] if incomplete else [])
