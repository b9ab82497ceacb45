"""Convert the leaderboard to plain data for JSON, to a table for people, to Markdown and to CSV."""

import csv
import io
import math
import re
from collections.abc import Sequence

from nitido.base.number_text import number_text
from nitido.evaluation.metrics import METRICS
from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.study.leaderboard import Entry, Leaderboard
from nitido.study.statistics import VariantStatistics

FIXED = ("rank", "variant", "status", "objective", "learning_rate", "seeds", "parameters", "macs")
COMPARISON = ("difference", "difference_low", "difference_high", "p_value_holm", "significant")


def as_json(board: Leaderboard) -> dict[str, object]:
    """Return the leaderboard as plain data for `leaderboard.json`."""
    return {
        "study": board.study,
        "profile": board.profile,
        "baseline": board.baseline,
        "scale": board.scale,
        "protocol": board.protocol,
        "caveats": {objective: list(said) for objective, said in board.caveats.items()},
        "entries": [
            {
                "rank": entry.rank,
                "perceptual_rank": entry.perceptual_rank,
                "objective": entry.objective,
                "variant": entry.variant,
                "lr": entry.learning_rate,
                "seeds": list(entry.seeds),
                "parameters": entry.parameters,
                "macs": entry.macs,
                "status": entry.status,
                "validation": entry.validation,
                "learning_rates": _plain_choice(entry),
                "metrics": entry.means,
                "deviations": entry.deviations,
                "gaps": dict(entry.gaps),
                "versus_baseline": {
                    objective: _as_plain(board.versus_baseline(entry.variant, objective))
                    for objective in board.objectives()
                },
            }
            for entry in board.entries
        ],
    }


def _plain_choice(entry: Entry) -> dict[str, object] | None:
    """Return what decided the learning rate of an entry, as plain data."""
    if entry.choice is None:
        return None
    return {
        "metric": entry.choice.metric,
        "pictures": entry.choice.images,
        "tried": [
            {
                "lr": rate.learning_rate,
                "value": rate.value,
                "seeds": list(rate.seeds),
                "status": rate.status,
                "chosen": entry.decided and rate.learning_rate == entry.learning_rate,
            }
            for rate in entry.choice.rates
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


def as_table(board: Leaderboard, objective: Objective = "fidelity") -> tuple[list[str], list[list[str]]]:
    """Return header and cells of a ranking for people, in the order of `board.ranked(objective)`.

    The difference column is to the baseline.
    """
    selection_metric = SELECTION_METRICS[objective]
    baseline = next((e.mean(selection_metric.metric) for e in board.entries if e.variant == board.baseline), None)
    columns = "PSNR / SSIM" if objective == "fidelity" else "distance / PSNR"
    header = ["#", "variant", "lr", "seeds", "parameters", *(f"{d} {columns}" for d in board.datasets)]
    header += [f"Δ {board.baseline}", "significant?"]
    lines = []
    for entry in board.ranked(objective):
        mean, place = entry.mean(selection_metric.metric), entry.place(objective)
        difference = mean - baseline if mean is not None and baseline is not None else math.nan
        known = board.versus_baseline(entry.variant, objective)
        lines.append(
            [
                str(place) if place is not None else "–",
                entry.variant + _remark(entry, objective),
                number_text(entry.learning_rate) if entry.learning_rate is not None else "–",
                ", ".join(map(str, entry.seeds)) or "–",
                f"{entry.parameters:,}" if entry.parameters else "–",
                *(_cell(entry, dataset, objective) for dataset in board.datasets),
                "–"
                if math.isnan(difference) or entry.variant == board.baseline
                else _difference(difference, known, objective),
                significance(known),
            ]
        )
    return header, lines


def _difference(value: float, known: VariantStatistics | None, objective: Objective) -> str:
    digits = SELECTION_METRICS[objective].decimals
    text = signed(value, digits) + (" dB" if objective == "fidelity" else "")
    if known is None or known.difference is None or known.difference.interval is None:
        return text
    low, high = known.difference.interval.low, known.difference.interval.high
    return f"{text} [{signed(low, digits)}, {signed(high, digits)}]"


def signed(value: float, digits: int) -> str:
    """Return a difference with its sign; zero has none.

    >>> signed(0.214, 2), signed(-0.001, 2)
    ('+0.21', '0.00')
    """
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def significance(known: VariantStatistics | None) -> str:
    """Return whether the difference to the baseline is significant, for the column "significant?"; "–" without one."""
    if known is None or known.difference is None:
        return "–"
    if known.adjusted_p_value is None:
        return "needs ≥ 2 images" if known.difference.interval is None else "needs ≥ 2 seeds"
    return {True: "yes (better)", False: "yes (worse)", None: "not shown"}[known.improves]


def _remark(entry: Entry, objective: Objective) -> str:
    """Say why an entry is unranked; empty if it is ranked."""
    if entry.status != "ok":
        return f" ({entry.status})"
    return " (objective: perception)" if objective == "fidelity" and entry.objective == "perception" else ""


def _cell(entry: Entry, dataset: str, objective: Objective) -> str:
    metrics = entry.means.get(dataset, {})
    first = SELECTION_METRICS[objective]
    if first.metric not in metrics:
        return "–"
    spread = entry.deviations.get(dataset, {})
    shown = first.text(metrics[first.metric])
    shown += f" ± {spread[first.metric]:.{first.decimals}f}" if first.metric in spread else ""
    second = METRICS["ssim_y" if objective == "fidelity" else "psnr_y"]
    return f"{shown} / {second.text(metrics[second.name])}" if second.name in metrics else f"{shown} / –"


def as_markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a GitHub-flavored Markdown table whose cells show their text unchanged.

    >>> print(as_markdown(["#", "variant"], [["1", "residual"]]))
    | # | variant |
    |---|---|
    | 1 | residual |
    """
    rows = [[_markdown(cell) for cell in row] for row in (header, *lines)]
    text = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([text[0], "|" + "---|" * len(header), *text[1:]])


def _markdown(text: str) -> str:
    r"""Return `text` with everything escaped that Markdown or its HTML would read as markup.

    >>> print(_markdown("a|b <i> *c* pixel_shuffle _d_"))
    a\|b &lt;i&gt; \*c\* pixel_shuffle \_d\_
    """
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*|~])", r"\\\1", text).replace("](", r"]\(")
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\_", text)


def as_csv(board: Leaderboard, objective: Objective = "fidelity") -> str:
    """Return one ranking as CSV text: a line per variant in the order of the ranking, one number per cell.

    Numbers are not rounded, and cells without one are empty. Columns: `FIXED` (`seeds` is their number); for each test
    set and metric the mean over seeds and images, `SET METRIC`, and its standard deviation over seeds, `SET METRIC sd`;
    and `COMPARISON` to the baseline, in the unit of the metric that ranks.
    """
    measured = list(dict.fromkeys((d, m) for e in board.entries for d, metrics in e.means.items() for m in metrics))
    header = [*FIXED, *(name for d, m in measured for name in (f"{d} {m}", f"{d} {m} sd")), *COMPARISON]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for entry in board.ranked(objective):
        figures = [
            values.get(dataset, {}).get(metric)
            for dataset, metric in measured
            for values in (entry.means, entry.deviations)
        ]
        writer.writerow([*_fixed(entry, objective), *figures, *_comparison(board, entry, objective)])
    return text.getvalue()


def _fixed(entry: Entry, objective: Objective) -> list[object]:
    return [
        entry.place(objective),
        entry.variant,
        entry.status,
        entry.objective,
        entry.learning_rate,
        len(entry.seeds) or None,
        entry.parameters or None,
        entry.macs or None,
    ]


def _comparison(board: Leaderboard, entry: Entry, objective: Objective) -> list[object]:
    known = board.versus_baseline(entry.variant, objective)
    if known is None or known.difference is None:
        return [None] * len(COMPARISON)
    interval = known.difference.interval
    low, high = (interval.low, interval.high) if interval is not None else (None, None)
    return [known.difference.value, low, high, known.adjusted_p_value, significance(known)]
