import shutil
from pathlib import Path

import pytest

from nitido.architectures import build, resolve_config
from nitido.inspection import draw_detailed_graph


def test_the_graph_is_drawn_where_graphviz_is_installed(tmp_path: Path) -> None:
    path = tmp_path / "graph.svg"
    drawn = draw_detailed_graph(build("srcnn", resolve_config("srcnn", "residual", {})), path)
    assert drawn == (shutil.which("dot") is not None)
    assert path.exists() == drawn
    if drawn:
        assert path.read_text(encoding="utf-8").count("Conv2d") == 3


def test_without_graphviz_nothing_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not draw_detailed_graph(build("srcnn", resolve_config("srcnn", "debug", {})), tmp_path / "graph.svg")
    assert list(tmp_path.iterdir()) == []
