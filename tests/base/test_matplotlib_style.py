"""Tests that figures do not depend on the user's matplotlibrc."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from nitido.base.matplotlib_style import default_style

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


def drawn(folder: Path, name: str, settings: dict[str, str]) -> dict[str, bytes]:
    where = folder / f"home of {name}"
    where.mkdir()
    (where / "matplotlibrc").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    out = folder / name
    ended = subprocess.run(
        [sys.executable, "-c", DRAW, str(out)],
        env=os.environ | {"MATPLOTLIBRC": str(where), "MPLCONFIGDIR": str(folder)},
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Glyph" not in ended.stderr
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_a_hostile_matplotlibrc_changes_no_figure(tmp_path: Path) -> None:
    usual = drawn(tmp_path, "usual", {})
    assert usual.keys() == {"curves.png", "m.svg", "m.png"}
    assert drawn(tmp_path, "hostile", HOSTILE) == usual


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
