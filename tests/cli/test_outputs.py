"""No output takes the place of an input, of another output, or of a file with other content."""

from pathlib import Path

import pytest
from PIL import Image

STUDY = (
    "{study: mine, question: q, architecture: srcnn, scale: 2, baseline: debug, variants: [debug],"
    " profiles: {demo: {data: {train: [samples], validation: [samples], test: [samples]},"
    " learning_rates: 1e-3, hyperparameters: {steps: 1}}}}"
)


@pytest.mark.parametrize(
    ("args", "kept", "answer"),
    [
        ("compare photo.png bicubic --scale 2 -o photo.png", "photo.png", "names this file twice"),
        ("compare photo.png bicubic --scale 2 -ophoto.png", "photo.png", "names this file twice"),
        ("compare photo.png bicubic --scale 2 -o ./link.png", "photo.png", "names this file twice"),
        ("compare photo.png bicubic --scale 2 -o q.png --json q.png", "photo.png", "names this file twice"),
        ("compare photo.png bicubic --scale 2 -o q.png --json=q.png", "photo.png", "names this file twice"),
        ("study show mine.yaml --json mine.yaml", "mine.yaml", "names this file twice"),
        ("study run mine.yaml --json mine.yaml", "mine.yaml", "names this file twice"),
        ("evaluate bicubic --data photos --scale 2 --json photos/a.png", "photos/a.png", "holds no JSON"),
        ("model show edsr-x2 --json photo.png", "photo.png", "holds no JSON"),
        ("model import w.safetensors -o w.safetensors", "w.safetensors", "names this file twice"),
    ],
)
def test_an_input_is_never_overwritten(call, tmp_path: Path, args: str, kept: str, answer: str) -> None:
    (tmp_path / "photos").mkdir()
    for place in ("photo.png", "photos/a.png"):
        Image.new("RGB", (32, 24), "red").save(tmp_path / place)
    (tmp_path / "link.png").symlink_to("photo.png")
    (tmp_path / "mine.yaml").write_text(STUDY)
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    before = (tmp_path / kept).read_bytes()
    done = call(*args.split())
    assert done.code == 1
    assert answer in done.error_line
    assert (tmp_path / kept).read_bytes() == before
    assert not (tmp_path / "q.png").exists()


def test_earlier_json_and_an_empty_file_are_replaced(call, tmp_path: Path) -> None:
    for content in ("", '{"old": 1}\n', "\n[]"):
        (tmp_path / "o.json").write_text(content)
        assert call("data", "list", "--json", "o.json").code == 0
        assert "datasets" in (tmp_path / "o.json").read_text()


def test_a_word_of_an_option_is_no_file(call, tmp_path: Path) -> None:
    Image.new("RGB", (32, 24), "red").save(tmp_path / "photo.png")
    done = call("compare", "photo.png", "bicubic", "--scale", "2", "-o", "scale.png", "--json", "json")
    assert done.code == 0, done.err


def test_equal_figures_share_a_rank(call, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "gray").save(tmp_path / "flat.png")
    done = call("compare", "flat.png", "bicubic", "srcnn-x2", "--scale", "2", "-o", "f.png", "--json", "f.json")
    assert done.code == 0, done.err
    assert (tmp_path / "f.json").read_text().count('"rank": 1') == 2
