"""Write the leaderboard as a LaTeX table for papers; it needs only the package `booktabs`."""

import re
from collections.abc import Sequence

from nitido.evaluation.metrics import METRICS
from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.study.leaderboard import Entry, Leaderboard
from nitido.study.leaderboard_tables import signed
from nitido.study.report import BICUBIC
from nitido.study.report.formatting import amount

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "×": r"$\times$",
        "Δ": r"$\Delta$",
        "±": r"$\pm$",
        "≥": r"$\geq$",
        "–": "--",
        "−": r"$-$",
    }
)


def escape(text: str) -> str:
    r"""Return `text` with LaTeX's special characters escaped.

    >>> print(escape("pixel_shuffle & 50%"))
    pixel\_shuffle \& 50\%
    """
    return text.translate(_SPECIAL)


def as_latex(board: Leaderboard) -> str:
    r"""Return one `table` per ranking: best trained mean of each column in bold, intervals, protocol below."""
    return "\n".join(_table(board, objective) for objective in board.objectives())


def _table(board: Leaderboard, objective: Objective) -> str:
    selection_metric = SELECTION_METRICS[objective]
    second = "SSIM" if objective == "fidelity" else "PSNR"
    first = "PSNR" if objective == "fidelity" else "Distance"
    columns = "l" + "r" * (2 + 2 * len(board.datasets))
    sets = "".join(rf" & \multicolumn{{2}}{{c}}{{{escape(name)}}}" for name in board.datasets)
    rules = "".join(rf"\cmidrule(lr){{{3 + 2 * i}-{4 + 2 * i}}}" for i in range(len(board.datasets)))
    names = "".join(f" & {first} & {second}" for _ in board.datasets)
    delta = rf"$\Delta$ {escape(board.baseline)} [95\%]"
    label = re.sub(r"[^A-Za-z0-9]+", "-", board.study)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(f'{board.study}, ×{board.scale}: {selection_metric.title}')}.}}",
        rf"\label{{tab:{label}-{objective}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        rf" &{sets} & \\",
        rules,
        rf"Variant & Parameters{names} & {delta} \\",
        r"\midrule",
        *_rows(board, objective),
        r"\bottomrule",
        r"\end{tabular}",
        *_note(board, objective),
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _rows(board: Leaderboard, objective: Objective) -> list[str]:
    entries = board.ranked(objective)
    ranked = [entry for entry in entries if entry.place(objective) is not None and entry.variant != BICUBIC]
    lines = []
    for entry in entries:
        cells = [
            escape(entry.variant + _remark(entry, objective)),
            amount(entry.parameters) if entry.parameters else "--",
        ]
        for dataset in board.datasets:
            for metric, digits, higher in _metrics(objective):
                cells.append(_value(entry, ranked, dataset, metric, digits, higher_is_better=higher))
        cells.append(_difference(board, entry, objective))
        lines.append(" & ".join(cells) + r" \\")
    return lines


def _metrics(objective: Objective) -> tuple[tuple[str, int, bool], tuple[str, int, bool]]:
    """Return (metric, decimals, higher is better) of the two columns of a test set."""
    if objective == "fidelity":
        return ("psnr_y", 2, True), ("ssim_y", 4, True)
    return ("perceptual_distance", 4, False), ("psnr_y", 2, True)


def _value(
    entry: Entry, ranked: Sequence[Entry], dataset: str, metric: str, digits: int, *, higher_is_better: bool
) -> str:
    found = entry.means.get(dataset, {}).get(metric)
    if found is None:
        return "--"
    text = f"{found:.{digits}f}"
    rivals = [f"{e.means[dataset][metric]:.{digits}f}" for e in ranked if metric in e.means.get(dataset, {})]
    best = (max if higher_is_better else min)(rivals, key=float, default="")
    shown = escape(METRICS[metric].text(found))
    return rf"\textbf{{{shown}}}" if text == best and entry in ranked else shown


def _difference(board: Leaderboard, entry: Entry, objective: Objective) -> str:
    known = board.versus_baseline(entry.variant, objective)
    if known is None or known.difference is None:
        return "--"
    digits, span = SELECTION_METRICS[objective].decimals, known.difference.interval
    text = signed(known.difference.value, digits)
    text += rf"\,[{signed(span.low, digits)}, {signed(span.high, digits)}]" if span is not None else ""
    star = "" if known.improves is None else "^{*}"
    return f"${text}{star}$"


def _remark(entry: Entry, objective: Objective) -> str:
    if entry.status != "ok":
        return f" ({entry.status})"
    return " (objective: perception)" if objective == "fidelity" and entry.objective == "perception" else ""


def _choice(board: Leaderboard) -> list[str]:
    """Say how the learning rates were chosen, if any variant has several."""
    tried = [len(entry.choice.rates) for entry in board.entries if entry.choice is not None]
    return ["The learning rate of each variant was chosen on validation images."] if max(tried, default=0) > 1 else []


def _bold(board: Leaderboard, objective: Objective) -> str:
    """Explain bold figures: unranked variants and bicubic may be better."""
    apart = objective == "fidelity" and any(entry.objective != objective for entry in board.entries)
    group = f" with the objective {objective}" if apart else ""
    return f"Bold: the best of the ranked trained variants{group}; bicubic and unranked variants are never bold."


def _note(board: Leaderboard, objective: Objective) -> list[str]:
    counts = sorted({len(entry.seeds) for entry in board.entries if entry.seeds})
    seeds = " to ".join(map(str, dict.fromkeys([counts[0], counts[-1]]))) if counts else "no"
    said = [
        f"Means over images and {seeds} seed{'' if counts == [1] else 's'}; protocol {board.protocol}.",
        *_choice(board),
        _bold(board, objective),
        f"Brackets: 95% intervals of the paired difference to {board.baseline}.",
    ]
    caveats = "; ".join(board.caveats.get(objective, ()))
    note = escape(" ".join([*said, f"Caveats: {caveats}."] if caveats else said))
    star = r"$^{*}$: significant at the 5\% level, Holm-corrected."
    return [rf"\par\smallskip{{\footnotesize {note} {star}\par}}"]
