import os
import shutil
import time
from pathlib import Path

import pytest

from nitido.architectures import build, resolve_config
from nitido.base.errors import NitidoError
from nitido.inspection import detailed_graph, draw_detailed_graph


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 1", "exit code 1"),
        ("cat > /dev/null; echo 'syntax error' >&2; exit 1", "syntax error"),
        ("sleep 1000", "it did not end within 0.5 s"),
        ("sleep 1000 & wait", "it did not end within 0.5 s"),
        ("echo garbage", "its output is no SVG"),
        ("printf '<svg><g>'", "its output is no SVG"),
        ("head -c 1000 /dev/zero", "its output is no SVG"),
        ("exit 0", "its output is no SVG"),
        ("kill -9 $$", "it was ended by signal 9"),
    ],
)
def test_a_broken_graphviz_gives_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    dot = tmp_path / "bin" / "dot"
    dot.parent.mkdir()
    dot.write_text(f"#!/bin/sh\n{text}\n")
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{dot.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(detailed_graph, "DOT_SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(NitidoError) as refused:
        draw_detailed_graph(build("srcnn", resolve_config("srcnn", "debug", {})), tmp_path / "graph.svg")
    assert str(refused.value) == f"Graphviz ({dot}: {reason})"
    assert time.monotonic() - started < 20
    assert not (tmp_path / "graph.svg").exists()
