"""The leaderboard as CSV for spreadsheets and scripts: one number per cell, unrounded, empty where there is none."""

import csv
import io

from nitido.evaluation.objectives import Objective
from nitido.study.leaderboard import Entry, Leaderboard, verdict

FIXED = ("rank", "variant", "status", "objective", "learning_rate", "seeds", "parameters", "macs")
COMPARISON = ("difference", "difference_low", "difference_high", "p_value_holm", "beyond_noise")


def as_csv(board: Leaderboard, objective: Objective = "fidelity") -> str:
    """Return one ranking as CSV text, a line per variant in the order of the ranking.

    Columns: `FIXED` (`seeds` is their number); for each test set and metric the mean over seeds and images, named
    `SET METRIC`, and its standard deviation over seeds, `SET METRIC sd`; and `COMPARISON` to the baseline, in the unit
    of the metric that ranks.
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
    return [known.difference.value, low, high, known.adjusted_p_value, verdict(known)]
