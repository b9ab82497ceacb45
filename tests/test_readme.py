"""The README is true: its links lead somewhere, its example runs, and it stays short."""

import re
from pathlib import Path

import pytest

from tests.forked import ForkServer

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """The anchors of a Markdown page, as GitHub makes them of its headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")], ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_it_can_be_read_in_ten_minutes() -> None:
    assert len(TEXT.splitlines()) <= 130
    for table in re.findall(r"(?:^\|.*\n)+", TEXT, flags=re.MULTILINE):
        assert len(table.splitlines()) - 2 <= 10


def test_its_example_trains_a_network(fork_server: ForkServer, tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
    (command,) = re.findall(r"^nitido (train .* --out runs/softplus)$", TEXT, flags=re.MULTILINE)
    (tmp_path / "my_activations.py").write_text(example)
    environment = {"NITIDO_PLUGINS": "my_activations.py", "NITIDO_CACHE": str(tmp_path / "cache")}
    short = "--set steps=2 --set validate_every=2 --set batch=1 --set patch=8 --set data.train=samples[:1]"
    short += " --set data.validation=samples[1:2] --set data.test=samples/test[:1]"
    ended = fork_server.nitido(*command.split(), *short.split(), cwd=tmp_path, environment=environment)
    assert ended.code == 0, ended
    assert "softplus" in (tmp_path / "runs" / "softplus" / "config.yaml").read_text()
    assert "Softplus" in (tmp_path / "runs" / "softplus" / "summary.txt").read_text()
