"""Tests that figures do not depend on the user's matplotlibrc."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest

from nitido.base.matplotlib_style import default_style
from tests.forked import ForkServer

HOSTILE = {
    "text.usetex": "True",
    "font.family": "No Such Font",
    "figure.dpi": "7",
    "savefig.bbox": "tight",
    "axes.prop_cycle": "cycler('color', ['k'])",
    "figure.autolayout": "True",
    "axes.formatter.use_locale": "True",
    "backend": "TkAgg",
}

DRAW = """
import sys
from pathlib import Path
from nitido.architectures import build, resolve_config
from nitido.inspection import draw_diagram
from nitido.study.report.ranking import draw_training_curves
out = Path(sys.argv[1])
out.mkdir()
draw_training_curves({"a_b$x^": [(0, 1.0), (5, 2.0)], "\\u4f60": [(0, 1.5)]}, out / "curves.png")
draw_diagram(build("srcnn", resolve_config("srcnn", "debug", {})), out / "m.svg", out / "m.png", "a_b$x^")
"""


@pytest.fixture
def drawn(fork_server: ForkServer, tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """Return a function that draws in a process with a matplotlibrc."""

    def draw(name: str, settings: dict[str, str]) -> dict[str, bytes]:
        where = tmp_path / f"home of {name}"
        where.mkdir()
        (where / "matplotlibrc").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
        environment = {"MATPLOTLIBRC": str(where / "matplotlibrc"), "MPLCONFIGDIR": str(tmp_path)}
        ended = fork_server.python(DRAW, tmp_path / name, cwd=where, environment=environment)
        assert ended.code == 0, ended
        assert "Glyph" not in ended.err
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    return draw


def test_a_hostile_matplotlibrc_changes_no_figure(drawn: Callable[..., dict[str, bytes]]) -> None:
    usual = drawn("usual", {})
    assert usual.keys() == {"curves.png", "m.svg", "m.png"}
    assert drawn("hostile", HOSTILE) == usual


@default_style()
def divide_by_zero() -> float:
    assert matplotlib.rcParams["figure.dpi"] == 100.0
    return 1 / 0


def test_the_style_is_restored_after_an_error() -> None:
    before = matplotlib.rcParams["figure.dpi"]
    with matplotlib.rc_context({"figure.dpi": 33.0}):
        with pytest.raises(ZeroDivisionError):
            divide_by_zero()
        assert matplotlib.rcParams["figure.dpi"] == 33.0
    assert matplotlib.rcParams["figure.dpi"] == before
