import base64
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nitido.study.leaderboard import Entry, Leaderboard
from nitido.study.report import ReportError
from nitido.study.report.html import RunFacts, data_uri, verdict, write_report

WINNER = "pixel_shuffle_residual_leaky_relu"


def entry(rank: int | None, variant: str, psnr: float | None, parameters: int = 109_827, seeds: int = 1) -> Entry:
    means = {} if psnr is None else {"set5": {"psnr_y": psnr, "ssim_y": 0.9}}
    deviations = {"set5": {"psnr_y": 0.03, "ssim_y": 0.001}} if seeds > 1 and means else {}
    lr = None if variant == "bicubic" else 1e-3
    status = "diverged" if psnr is None else "ok"
    return Entry(rank, variant, lr, tuple(range(seeds)), parameters, 10**6, status, psnr, means, deviations)


def board(*entries: Entry) -> Leaderboard:
    return Leaderboard("srcnn", "demo", "vanilla", 3, "bt601-y/test/1", ("set5",), entries)


def usual(seeds: int = 1, rival: float = 33.80) -> Leaderboard:
    return board(
        entry(1, WINNER, 33.91, 81_123, seeds),
        entry(2, "residual", rival, 109_827, seeds),
        entry(3, "vanilla", 33.70, 109_827, seeds),
        entry(4, "bicubic", 32.49, 0, 0),
    )


def test_verdict_names_the_winner_its_gains_and_its_size() -> None:
    text = verdict(usual())
    assert text.startswith(f"{WINNER} ranks first: 33.91 dB")
    assert "+1.42 dB over bicubic and +0.21 dB over vanilla with 26% fewer parameters" in text
    assert "residual, is 0.11 dB behind" in text


def test_verdict_warns_of_a_single_seed_only_when_there_is_one() -> None:
    warning = "Single seed: differences below the seed noise mean nothing."
    assert warning in verdict(usual(seeds=1))
    assert warning not in verdict(usual(seeds=3))


def test_verdict_doubts_a_gap_inside_the_spread_over_seeds() -> None:
    assert "may be chance" in verdict(usual(seeds=3, rival=33.88))
    assert "may be chance" not in verdict(usual(seeds=3, rival=33.80))


def test_verdict_when_no_variant_beats_bicubic() -> None:
    text = verdict(board(entry(1, "bicubic", 32.49, 0, 0), entry(2, WINNER, 32.0), entry(3, "vanilla", 31.0)))
    assert text.startswith(f"No variant beats bicubic: the best, {WINNER}, reaches 32.00 dB")
    assert "0.49 dB short" in text
    assert "ranks first" not in text


def test_verdict_when_the_baseline_wins() -> None:
    text = verdict(board(entry(1, "vanilla", 33.7), entry(2, "residual", 33.6), entry(3, "bicubic", 32.49, 0, 0)))
    assert text.startswith("vanilla, the baseline, ranks first: 33.70 dB")
    assert "No change improved on it; the next, residual, is 0.10 dB behind." in text


def test_verdict_names_what_did_not_finish() -> None:
    text = verdict(board(*usual().entries, entry(None, "prelu", None)))
    assert "Did not finish: prelu (diverged)." in text
    assert verdict(board(entry(None, "vanilla", None))) == (
        "No trained variant has a result yet. Did not finish: vanilla (diverged)."
    )


@pytest.mark.parametrize("missing", ["bicubic", "vanilla"])
def test_verdict_leaves_out_what_is_missing(missing: str) -> None:
    text = verdict(board(*(e for e in usual().entries if e.variant != missing)))
    assert text.startswith(f"{WINNER} ranks first")
    assert f"over {missing}" not in text


class Page(HTMLParser):
    """What a browser would load, and what it would show as text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "srcset", "poster", "data")]
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "leaderboard.png"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)).save(path)
    return path


def run(variant: str, seed: int = 0, diagram: Path | None = None) -> RunFacts:
    return RunFacts(
        variant=variant,
        learning_rate=1e-3,
        seed=seed,
        status="ok",
        steps=2000,
        seconds=75.0,
        parameters=81_123,
        validation_psnr=33.4567,
        directory=f"runs/{variant}/lr=0.001/seed={seed}",
        diagram=diagram,
        difference="residual: true",
    )


def test_report_is_one_self_contained_page(tmp_path: Path, picture: Path) -> None:
    diagram = tmp_path / "in" / "model.svg"
    diagram.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    out = tmp_path / "out"
    shown = board(*usual().entries, entry(None, "prelu", None))
    runs = [run(WINNER, 0, diagram), run(WINNER, 1, diagram), run("vanilla")]
    path = write_report(out, shown, pictures=[("The ranking", picture)], runs=runs)
    assert path == out / "report.html"
    assert [file.name for file in out.iterdir()] == ["report.html"]
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    assert "http://" not in source
    assert "https://" not in source
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"@import|url\(", source)
    assert len(page.sources) == 2  # the picture, and the diagram once for both runs
    assert all(value.startswith("data:image/") for value in page.sources)
    assert base64.b64decode(page.sources[0].split(",", 1)[1]) == picture.read_bytes()
    for line in shown.entries:
        assert line.variant in page.text
    assert verdict(shown) in page.text
    assert "bt601-y/test/1" in page.text
    assert "33.46 dB" in page.text
    assert "1 min 15 s" in page.text
    assert f"./runs/{WINNER}/lr%3D0.001/seed%3D1/" in page.links


def test_names_are_escaped(tmp_path: Path, picture: Path) -> None:
    name = '<script>alert("&")</script>'
    shown = board(replace(usual().entries[0], variant=name), *usual().entries[1:])
    path = write_report(tmp_path / "out", shown, pictures=[(name, picture)], runs=[run(name)])
    source = path.read_text(encoding="utf-8")
    assert "<script" not in source
    assert name in unescape(source)
    assert "script" not in Page(source).tags


def test_unreadable_pictures_leave_the_old_report(tmp_path: Path, picture: Path) -> None:
    path = write_report(tmp_path / "out", usual(), pictures=[], runs=[])
    before = path.read_bytes()
    gone = tmp_path / "gone.png"
    with pytest.raises(ReportError, match=r"gone\.png cannot be embedded"):
        write_report(tmp_path / "out", usual(), pictures=[("ranking", gone)], runs=[])
    with pytest.raises(ReportError, match="expected an image"):
        data_uri(tmp_path / "rows.parquet")
    assert path.read_bytes() == before
