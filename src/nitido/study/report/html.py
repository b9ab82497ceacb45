"""The study's web page: one file with everything in it, readable offline and for years."""

import mimetypes
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from statistics import fmean
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from nitido.atomic import write_text
from nitido.evaluation.aims import YARDSTICKS, Aim
from nitido.study.leaderboard import RANKED_BY, Entry, Leaderboard, as_table
from nitido.study.report import BICUBIC, ReportError


@dataclass(frozen=True)
class RunFacts:
    """What the page says of one run. `directory` is relative to the page; `difference` is its config's to the base."""

    variant: str
    learning_rate: float
    seed: int
    status: str
    steps: int
    seconds: float
    parameters: int
    validation_psnr: float | None
    directory: str
    diagram: Path | None
    difference: str


@dataclass(frozen=True)
class _Section:
    """The runs of one variant, which share a diagram."""

    variant: str
    parameters: int
    difference: str
    diagram: str | None
    runs: tuple[RunFacts, ...]


def write_report(
    directory: Path, board: Leaderboard, *, pictures: Sequence[tuple[str, Path]], runs: Sequence[RunFacts]
) -> Path:
    """Write `directory/report.html` atomically and return its path.

    `pictures` are (caption, image file). They and the runs' diagrams are embedded, so the page needs no other file
    and no network. Raises `ReportError` when one of them cannot be read.
    """
    environment = Environment(
        loader=PackageLoader("nitido.study", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["link"] = lambda relative: quote(f"./{relative}/")
    page = environment.get_template("template.html.j2").render(
        board=board,
        verdict=verdict(board),
        tables=[_table(board, aim) for aim in board.aims()],
        pictures=[(caption, data_uri(path)) for caption, path in pictures],
        sections=_sections(runs),
    )
    target = directory / "report.html"
    write_text(target, page)
    return target


@dataclass(frozen=True)
class _Table:
    """A ranking: its lines are (cells, has no place in it, is the best)."""

    title: str
    header: list[str]
    lines: list[tuple[list[str], bool, bool]]


def _table(board: Leaderboard, aim: Aim) -> _Table:
    header, cells = as_table(board, aim)
    best = board.best() if aim == "fidelity" else next(iter(board.ranked(aim)))
    entries = board.ranked(aim)
    lines = [(line, entry.place(aim) is None, entry == best) for line, entry in zip(cells, entries, strict=True)]
    title = "Leaderboard" if aim == "fidelity" else f"By {YARDSTICKS[aim].title} (smaller is better)"
    return _Table(title, header, lines)


def data_uri(path: Path) -> str:
    """The image file as a `data:` address. Raises `ReportError` when it cannot be read or is not an image."""
    kind = mimetypes.guess_type(path.name)[0] or ""
    if not kind.startswith("image/"):
        raise ReportError(f"{path} cannot be embedded in the report: expected an image such as .png or .svg")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReportError(f"{path} cannot be embedded in the report: {error.strerror}") from None
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"


def duration(seconds: float) -> str:
    """A time span for people.

    >>> duration(7.25), duration(247), duration(7500)
    ('7.2 s', '4 min 07 s', '2 h 05 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _sections(runs: Sequence[RunFacts]) -> list[_Section]:
    grouped: dict[str, list[RunFacts]] = {}
    for run in runs:
        grouped.setdefault(run.variant, []).append(run)
    return [
        _Section(
            variant=variant,
            parameters=members[0].parameters,
            difference="\n".join(dict.fromkeys(run.difference for run in members if run.difference)),
            diagram=next((data_uri(run.diagram) for run in members if run.diagram is not None), None),
            runs=tuple(members),
        )
        for variant, members in grouped.items()
    ]


def verdict(board: Leaderboard) -> str:
    """What the study found, in a few honest sentences: the winner, its gains, and what they are worth."""
    return " ".join([*_finding(board), *_perception(board), *_unfinished(board)])


def _finding(board: Leaderboard) -> list[str]:
    best = board.best()
    if best is None or best.score is None:
        return ["No trained variant has a result yet."]
    where = f"{best.score:.2f} dB" + (f" (mean PSNR on Y over {', '.join(board.datasets)})" if board.datasets else "")
    bicubic = _entry(board, BICUBIC)
    if bicubic is not None and bicubic.score is not None and best.score <= bicubic.score:
        short = f"{bicubic.score - best.score:.2f} dB short of it" if best.score < bicubic.score else "level with it"
        return [f"No variant beats bicubic: the best, {best.variant}, reaches {where}, {short}.", *_caveat(best, None)]
    baseline = _entry(board, board.baseline)
    gains = []
    if bicubic is not None and bicubic.score is not None:
        gains.append(f"{best.score - bicubic.score:+.2f} dB over bicubic")
    rivals = [entry for entry in board.entries if entry.score is not None and entry.learning_rate is not None]
    rival = rivals[1] if len(rivals) > 1 else None
    if best.variant == board.baseline:
        sentence = f"{best.variant}, the baseline, ranks first: {', '.join([where, *gains])}."
        after = f"No change improved on it; the next, {_behind(best, rival)}." if rival is not None else ""
        return [sentence, *([after] if after else []), *_caveat(best, rival)]
    if baseline is not None and baseline.score is not None and baseline.variant != BICUBIC:
        size = _size(best.parameters, baseline.parameters)
        gains.append(f"{best.score - baseline.score:+.2f} dB over {baseline.variant} {size}")
    sentence = f"{best.variant} ranks first: {where}" + (f", {' and '.join(gains)}." if gains else ".")
    after = f"The next, {_behind(best, rival)}." if rival is not None and rival.variant != board.baseline else ""
    return [sentence, *([after] if after else []), *_caveat(best, rival)]


def _perception(board: Leaderboard) -> list[str]:
    if "perception" not in board.aims():
        return []
    yardstick = YARDSTICKS["perception"]
    first, *others = [entry for entry in board.ranked("perception") if entry.perceptual_rank is not None]
    sentence = (
        f"By {yardstick.title}, {first.variant} ranks first: {first.mean(yardstick.metric):.{yardstick.decimals}f}"
    )
    rival = next((entry for entry in others if entry.variant == board.baseline), None) or next(iter(others), None)
    if rival is not None:
        sentence += f" against {rival.mean(yardstick.metric):.{yardstick.decimals}f} of {rival.variant}"
    return [f"{sentence}; its PSNR is {first.score:.2f} dB."]


def _entry(board: Leaderboard, variant: str) -> Entry | None:
    return next((entry for entry in board.entries if entry.variant == variant), None)


def _behind(best: Entry, rival: Entry) -> str:
    gap = (best.score or 0.0) - (rival.score or 0.0)
    return f"{rival.variant}, is {gap:.2f} dB behind" if gap >= 0.005 else f"{rival.variant}, is level with it"


def _size(parameters: int, baseline: int) -> str:
    """The change in parameters in words.

    >>> _size(81_123, 109_827), _size(57_281, 57_281), _size(300, 100)
    ('with 26% fewer parameters', 'with as many parameters', 'with 3.0 times the parameters')
    """
    change = parameters / baseline - 1
    if change >= 1:
        return f"with {parameters / baseline:.1f} times the parameters"
    if round(abs(change) * 100) == 0:
        return "with as many parameters" if parameters == baseline else "with nearly as many parameters"
    return f"with {abs(change):.0%} {'fewer' if change < 0 else 'more'} parameters"


def _caveat(best: Entry, rival: Entry | None) -> list[str]:
    """What the figures cannot show: one seed tells nothing of noise; a gap inside the seeds' spread is no gap."""
    compared = [best, rival] if rival is not None else [best]
    if any(len(entry.seeds) < 2 for entry in compared):
        return ["Single seed: differences below the seed noise mean nothing."]
    if rival is None:
        return []
    noise = hypot(_seed_deviation(best), _seed_deviation(rival))
    if (best.score or 0.0) - (rival.score or 0.0) > noise:
        return []
    return [f"The gap to {rival.variant} is within the spread over seeds ({noise:.2f} dB) and may be chance."]


def _seed_deviation(entry: Entry) -> float:
    """Mean over the test sets of the standard deviation over seeds, in dB."""
    found = [metrics[RANKED_BY] for metrics in entry.deviations.values() if RANKED_BY in metrics]
    return fmean(found) if found else 0.0


def _unfinished(board: Leaderboard) -> list[str]:
    failed = [f"{entry.variant} ({entry.status})" for entry in board.entries if entry.status != "ok"]
    return [f"Did not finish: {', '.join(failed)}."] if failed else []
