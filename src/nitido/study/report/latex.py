"""The leaderboard as a LaTeX table for papers; it needs the package `booktabs` alone."""

import re
from collections.abc import Sequence

from nitido.evaluation.aims import YARDSTICKS, Aim
from nitido.study.leaderboard import Entry, Leaderboard, signed
from nitido.study.report import BICUBIC
from nitido.study.report.words import amount

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
        "–": "--",
        "−": r"$-$",
    }
)


def escape(text: str) -> str:
    r"""`text` as LaTeX prints it.

    >>> print(escape("pixel_shuffle & 50%"))
    pixel\_shuffle \& 50\%
    """
    return text.translate(_SPECIAL)


def as_latex(board: Leaderboard) -> str:
    r"""One `table` for each ranking: the best trained mean of each column bold, intervals, and the protocol below."""
    return "\n".join(_table(board, aim) for aim in board.aims())


def _table(board: Leaderboard, aim: Aim) -> str:
    yardstick = YARDSTICKS[aim]
    second = "SSIM" if aim == "fidelity" else "PSNR"
    first = "PSNR" if aim == "fidelity" else "Distance"
    columns = "l" + "r" * (2 + 2 * len(board.datasets))
    sets = "".join(rf" & \multicolumn{{2}}{{c}}{{{escape(name)}}}" for name in board.datasets)
    rules = "".join(rf"\cmidrule(lr){{{3 + 2 * i}-{4 + 2 * i}}}" for i in range(len(board.datasets)))
    names = "".join(f" & {first} & {second}" for _ in board.datasets)
    delta = rf"$\Delta$ {escape(board.baseline)} [95\%]"
    label = re.sub(r"[^A-Za-z0-9]+", "-", board.study)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(f'{board.study}, ×{board.scale}: {yardstick.title}')}.}}",
        rf"\label{{tab:{label}-{aim}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        rf" &{sets} & \\",
        rules,
        rf"Variant & Parameters{names} & {delta} \\",
        r"\midrule",
        *_rows(board, aim),
        r"\bottomrule",
        r"\end{tabular}",
        *_note(board, aim),
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _rows(board: Leaderboard, aim: Aim) -> list[str]:
    entries = board.ranked(aim)
    ranked = [entry for entry in entries if entry.place(aim) is not None and entry.variant != BICUBIC]
    lines = []
    for entry in entries:
        cells = [escape(entry.variant + _remark(entry, aim)), amount(entry.parameters) if entry.parameters else "--"]
        for dataset in board.datasets:
            for metric, digits, higher in _metrics(aim):
                cells.append(_value(entry, ranked, dataset, metric, digits, higher_is_better=higher))
        cells.append(_difference(board, entry, aim))
        lines.append(" & ".join(cells) + r" \\")
    return lines


def _metrics(aim: Aim) -> tuple[tuple[str, int, bool], tuple[str, int, bool]]:
    """Metric, decimals and direction of the two columns of a test set."""
    if aim == "fidelity":
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
    return rf"\textbf{{{text}}}" if text == best and entry in ranked else text


def _difference(board: Leaderboard, entry: Entry, aim: Aim) -> str:
    known = board.versus_baseline(entry.variant, aim)
    if known is None or known.difference is None:
        return "--"
    digits, span = YARDSTICKS[aim].decimals, known.difference.interval
    text = signed(known.difference.value, digits)
    text += rf"\,[{signed(span.low, digits)}, {signed(span.high, digits)}]" if span is not None else ""
    star = "" if known.improves is None else "^{*}"
    return f"${text}{star}$"


def _remark(entry: Entry, aim: Aim) -> str:
    if entry.status != "ok":
        return f" ({entry.status})"
    return " (aims at perception)" if aim == "fidelity" and entry.aim == "perception" else ""


def _choice(board: Leaderboard) -> list[str]:
    """Say what chose the learning rates, if any variant has several."""
    tried = [len(entry.choice.rates) for entry in board.entries if entry.choice is not None]
    return ["The learning rate of each variant was chosen on validation pictures."] if max(tried, default=0) > 1 else []


def _note(board: Leaderboard, aim: Aim) -> list[str]:
    counts = sorted({len(entry.seeds) for entry in board.entries if entry.seeds})
    seeds = " to ".join(map(str, dict.fromkeys([counts[0], counts[-1]]))) if counts else "no"
    said = [
        f"Means over pictures and {seeds} seed{'' if counts == [1] else 's'}; protocol {board.protocol}.",
        *_choice(board),
        f"Brackets: 95% intervals of the paired difference to {board.baseline}.",
    ]
    caveats = "; ".join(board.caveats.get(aim, ()))
    note = escape(" ".join([*said, f"Caveats: {caveats}."] if caveats else said))
    star = r"$^{*}$: beyond noise at 5\% after Holm's correction."
    return [rf"\par\smallskip{{\footnotesize {note} {star}\par}}"]
