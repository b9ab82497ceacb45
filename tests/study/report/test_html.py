import base64
import math
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from nitido.evaluation.protocol import PROTOCOL
from nitido.study.report import ReportError
from nitido.study.report.costs import Cost
from nitido.study.report.curves import Curve
from nitido.study.report.html import Content, write_report
from nitido.study.report.runs import RunFacts, data_uri
from nitido.study.report.setting import protocol_words
from nitido.study.report.verdict import verdict
from tests.study.report.boards import PARAMETERS, RATE, WINNER, board_of, rows_of, usual

VOID = {"meta", "img", "br", "input", "link", "hr", "path", "line", "circle", "rect"}


class Page(HTMLParser):
    """What a browser would load, what it would show as text, and whether every tag is closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "srcset", "poster", "data")]
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "leaderboard.png"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)).save(path)
    return path


def run(variant: str, seed: int = 0, diagram: Path | None = None, status: str = "finished") -> RunFacts:
    return RunFacts(
        variant=variant,
        learning_rate=1e-3,
        seed=seed,
        status=status,
        steps=2000,
        time="1 min 15 s",
        parameters=81_123,
        validation_psnr=33.4567,
        directory=f"runs/{variant}/lr=0.001/seed={seed}",
        diagram=diagram,
        difference="residual: true",
        summary="Conv2d (head)  [9, 9]  <0>",
        reason="the loss was not finite" if status == "diverged" else "",
    )


def test_report_is_one_self_contained_page(tmp_path: Path, image: Path) -> None:
    diagram = tmp_path / "in" / "model.svg"
    diagram.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    out = tmp_path / "out"
    rows = rows_of({WINNER: 33.91, "residual": 33.80, "vanilla": 33.70, "bicubic": 32.49})
    shown = board_of(rows, broken={"prelu": "diverged"})
    curves = [Curve(name, RATE, 0, True, ((0, 30.0), (10, 33.0))) for name in (WINNER, "vanilla")]
    content = Content(
        images=[("Side by side", image)],
        runs=[run(WINNER, 0, diagram), run(WINNER, 1, diagram), run("vanilla"), run("prelu", status="diverged")],
        curves={"psnr_y": curves},
        rows=rows,
        costs={name: Cost(p, p * 1000, p * 10, 0.01, 10**6) for name, p in PARAMETERS.items()},
        conditions="Measured somewhere.",
        setting=[("Training", "2,000 steps.")],
    )
    path = write_report(out, shown, content)
    assert path == out / "report.html"
    assert [file.name for file in out.iterdir()] == ["report.html"]
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert "http://" not in source
    assert "https://" not in source
    assert not {"link", "iframe", "object", "base"} & set(page.tags)
    assert not page.handlers
    assert not re.search(r"@import|url\((?!#)", source)
    assert "default-src 'none'" in source
    assert len(page.sources) == 2  # the image, and the diagram once for both runs
    assert all(value.startswith("data:image/") for value in page.sources)
    assert base64.b64decode(page.sources[0].split(",", 1)[1]) == image.read_bytes()
    for line in shown.entries:
        assert line.variant in page.text
    for sentence in (verdict(shown, "fidelity", content.costs).headline, *verdict(shown).caveats):
        assert sentence in page.text
    for words in ("bt601-y/test/1", "33.46 dB", "1 min 15 s", "2,000 steps.", "Measured somewhere.", "Conv2d (head)"):
        assert words in page.text
    assert "diverged: the loss was not finite" in page.text
    assert f"./runs/{WINNER}/lr%3D0.001/seed%3D1/" in page.links
    headings = re.findall("<h2>(.*?)</h2>", source)
    assert [h.partition(":")[0] for h in headings] == [
        "Leaderboard",
        "Differences to vanilla",
        "Image by image",
        "Quality against cost",
        "Training",
        "Side by side",
        "Methods",
        "Runs",
    ]


def test_names_are_escaped(tmp_path: Path, image: Path) -> None:
    name = '</script><script>alert("&")</script>'
    rows = rows_of({name: 33.91, "vanilla": 33.70, "bicubic": 32.49})
    curve = Curve(name, RATE, 0, True, ((0, 30.0), (10, 33.0)))
    content = Content(images=[(name, image)], runs=[run(name)], rows=rows, curves={"psnr_y": [curve]})
    usual_page = write_report(tmp_path / "usual", usual()[0], Content()).read_text(encoding="utf-8")
    source = write_report(tmp_path / "out", board_of(rows), content).read_text(encoding="utf-8")
    assert "<script>alert" not in source
    assert name in unescape(source)
    assert Page(source).tags.count("script") == Page(usual_page).tags.count("script")


def test_unreadable_images_leave_the_old_report(tmp_path: Path, image: Path) -> None:
    board, _ = usual()
    path = write_report(tmp_path / "out", board, Content())
    before = path.read_bytes()
    gone = tmp_path / "gone.png"
    with pytest.raises(ReportError, match=r"gone\.png cannot be embedded"):
        write_report(tmp_path / "out", board, Content(images=[("ranking", gone)]))
    with pytest.raises(ReportError, match="expected an image"):
        data_uri(tmp_path / "rows.parquet")
    assert path.read_bytes() == before


def bad_boards() -> dict[str, tuple[pl.DataFrame, dict[str, str], str]]:
    """Rows and broken variants that must not break the page, and what the page must say."""
    good = {WINNER: 33.91, "vanilla": 33.70, "bicubic": 32.49}
    nan = pl.when(pl.col("variant") == WINNER).then(math.nan).otherwise("value").alias("value")
    hole = (pl.col("variant") == WINNER) & (pl.col("image") == "set5_0") & (pl.col("split") == "test")
    return {
        "diverged with rows": (rows_of({**good, "prelu": 50.0}), {"prelu": "diverged"}, "prelu (diverged)"),
        "missing": (rows_of(good), {"prelu": "missing", "gelu": "running"}, "prelu (missing)"),
        "one seed": (rows_of(good, seeds=1), {}, "seed noise is unknown"),
        "all NaN": (rows_of(good).with_columns(nan), {}, "Nothing to compare yet"),
        "a hole": (rows_of(good).filter(~hole), {}, f"{WINNER} is not ranked: it lacks 3 of 15 values"),
        "infinite": (
            rows_of({**good, WINNER: math.inf}, seeds=1),
            {},
            f"{WINNER} is not ranked: it has no learning rate with",
        ),
        "no bicubic": (rows_of({WINNER: 33.91, "vanilla": 33.70}), {}, WINNER),
        "only bicubic": (rows_of({"bicubic": 32.49}), {"vanilla": "failed"}, "No trained variant has a result yet."),
        "baseline failed": (rows_of({WINNER: 33.9, "bicubic": 32.4}), {"vanilla": "failed"}, "has no result"),
        "one image": (rows_of(good, sets={"one": 1}), {}, "one has one image"),
    }


@pytest.mark.parametrize("case", list(bad_boards()))
def test_bad_input_is_reported_and_never_breaks_the_page(case: str, tmp_path: Path) -> None:
    rows, broken, words = bad_boards()[case]
    board = board_of(rows, broken=broken)
    curves = [Curve(WINNER, RATE, 0, True, ((0, math.nan), (1, math.inf))), Curve("vanilla", RATE, 0, True, ())]
    costs = {name: Cost(p, p) for name, p in PARAMETERS.items()}
    content = Content(rows=rows, costs=costs, curves={"psnr_y": curves})
    source = write_report(tmp_path, board, content).read_text(encoding="utf-8")
    page = Page(source)
    assert page.open == []
    assert words in page.text
    assert not re.search(r"\bnan\b|\bNone\b", page.text)
    assert not re.search(r'(?:[xyd]\d?|c[xy]|points|data-value)="[^"]*(?:nan|inf)', source)
    for name, status in broken.items():
        line = re.search(rf'<tr class="([^"]*)">(?:(?!</tr>).)*{name} \({status}\)', source)
        assert line
        assert "out" in line[1]
        assert "best" not in line[1]
        assert not verdict(board).headline.startswith(name)


def test_a_perceptual_ranking_has_its_own_table_forest_and_matrix(tmp_path: Path) -> None:
    distances = {"gan": 0.30, "vanilla": 0.40, "bicubic": 0.50}
    rows = rows_of({"gan": 33.0, "vanilla": 33.7, "bicubic": 32.49}, distances=distances)
    board = board_of(rows, perceptual=["gan"])
    costs = {name: Cost(100, 100) for name in ("gan", "vanilla")}
    page = Page(write_report(tmp_path, board, Content(rows=rows, costs=costs)).read_text(encoding="utf-8"))
    for heading in (
        "Leaderboard by perceptual distance (lower is better)",
        "Differences to vanilla: perceptual distance",
        "perceptual distance, difference to vanilla",
        "perceptual distance against cost",
    ):
        assert heading in page.text


def test_the_protocol_is_described_and_a_strange_one_only_by_name() -> None:
    assert "MATLAB" in protocol_words(PROTOCOL)
    assert protocol_words("other/2") == "Measured under the protocol other/2."


def test_a_name_that_is_no_identifier_is_shown_as_it_is(tmp_path: Path) -> None:
    board, rows = usual()
    odd = replace(board, study="my study: ×2 & more")
    page = Page(write_report(tmp_path, odd, Content(rows=rows)).read_text(encoding="utf-8"))
    assert "my study: ×2 & more" in page.text
