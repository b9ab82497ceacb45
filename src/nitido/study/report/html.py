"""Write the web page of a study: one self-contained file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nitido.base.atomic import write_text
from nitido.base.number_text import number_text
from nitido.evaluation.objectives import SELECTION_METRICS
from nitido.evaluation.rows import SCHEMA
from nitido.study.leaderboard import Leaderboard
from nitido.study.report.costs import Cost
from nitido.study.report.curves import Curve, curve_chart
from nitido.study.report.forest import forest
from nitido.study.report.matrix import matrix
from nitido.study.report.pareto import pareto
from nitido.study.report.runs import RunFacts, by_variant, data_uri
from nitido.study.report.setting import Facts, protocol_words
from nitido.study.report.slider import View
from nitido.study.report.tables import leaderboard_table, metrics_table, rates_table
from nitido.study.report.verdict import verdict

Section = TypeVar("Section")

SCRIPTS = ("sort", "curves", "pareto", "viewer")


@dataclass(frozen=True)
class Content:
    """The content of the page besides the leaderboard; empty parts have no section.

    Attributes:
        images: (caption, image file); the files are embedded unchanged.
        curves: metric -> validations of every run.
        rows: the rows of the study, for the matrix.
        costs: variant -> cost.
        conditions: how the costs were measured.
        asked: the metrics that the study names.
        crop: the side in pixels of the center of each image that training validates on; None for whole images.
        shown_seed: the seed of the runs in `views`, in words; "" if there is only one.
        on_content: a sentence about the images on which the best variant gains, and its figure if there is one.
    """

    images: Sequence[tuple[str, Path]] = ()
    runs: Sequence[RunFacts] = ()
    curves: Mapping[str, Sequence[Curve]] = field(default_factory=dict)
    rows: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SCHEMA))
    costs: Mapping[str, Cost] = field(default_factory=dict)
    conditions: str = ""
    views: Sequence[View] = ()
    shown_seed: str = ""
    setting: Facts = field(default_factory=list)
    asked: tuple[str, ...] = ()
    crop: int | None = None
    on_content: tuple[str, Path | None] = ("", None)


def write_report(directory: Path, board: Leaderboard, content: Content) -> Path:
    """Write `directory/report.html` atomically and return its path.

    Images and diagrams are embedded: the page needs no other file and no network. Raises `ReportError` if one of them
    cannot be read.
    """
    page = _environment().get_template("page.html.j2").render(_sections(board, content))
    target = directory / "report.html"
    write_text(target, page)
    return target


@cache
def _environment() -> Environment:
    loader = PackageLoader("nitido.study.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number_text
    environment.filters["link"] = lambda relative: quote(f"./{relative}/")

    def inlined(name: str) -> Markup:
        """Return a style sheet or script of the package unescaped; it contains no text of the study."""
        source, _, _ = loader.get_source(environment, name)
        return Markup(source)

    environment.globals["inlined"] = inlined
    return environment


def _sections(board: Leaderboard, content: Content) -> dict[str, object]:
    objectives = board.objectives()
    order = [entry.variant for entry in board.entries]
    return {
        "board": board,
        "scripts": SCRIPTS,
        "verdicts": [verdict(board, objective, content.costs) for objective in objectives],
        "titles": {objective: SELECTION_METRICS[objective].title for objective in objectives},
        "tables": [leaderboard_table(board, objective, content.costs) for objective in objectives],
        "metrics": metrics_table(board, content.asked),
        "rates": rates_table(board),
        "forests": _existing(forest(board, objective) for objective in objectives),
        "paretos": _existing(pareto(board, objective, content.costs) for objective in objectives),
        "matrices": _existing(matrix(board, content.rows, objective) for objective in objectives),
        "charts": _existing(curve_chart(c, metric, order, content.crop) for metric, c in content.curves.items()),
        "conditions": content.conditions,
        "views": content.views,
        "shown_seed": content.shown_seed,
        "view_data": [{"images": dict(v.images), "limit": v.error_limit} for v in content.views],
        "images": [(caption, data_uri(path)) for caption, path in content.images],
        "content_sentence": content.on_content[0],
        "content_image": data_uri(content.on_content[1]) if content.on_content[1] is not None else None,
        "variants": by_variant(content.runs),
        "setting": content.setting,
        "protocol": protocol_words(board.protocol),
    }


def _existing(found: Iterable[Section | None]) -> list[Section]:
    """Return `found` without None."""
    return [one for one in found if one is not None]
