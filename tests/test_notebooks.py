"""The notebooks run from top to bottom in a kernel of their own and show what they promise.

The kernels are forks of a process that has imported nitido. One test begins a notebook in a fresh interpreter.
"""

import base64
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import skimage
from ipykernel.kernelspec import write_kernel_spec
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from nitido.study.spec import builtin_names
from tests.forked.kernels import forked_kernels

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
FRESH, FORKED = "nitido-tests-fresh", "nitido-tests-forked"


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What kernels are started with: this interpreter, a tiny budget, one cache for all, nobody's own settings."""
    folder = tmp_path_factory.mktemp("kernels")
    write_kernel_spec(folder / "kernels" / FRESH)
    settings = ["learning_rates=1e-3", "warmup=0"]
    for split, image in (("validation", skimage.data.rocket()), ("test", skimage.data.cat())):
        (folder / split).mkdir()
        Image.fromarray(image[60:188, 100:260]).save(folder / split / "detail.png")  # evaluation takes the time
        settings.append(f"data.{split}={folder / split}")
    kept = {key: value for key, value in os.environ.items() if key not in ("MPLBACKEND", "NITIDO_PLUGINS")}
    tiny = {"NITIDO_NOTEBOOK_STEPS": "4", "NITIDO_NOTEBOOK_SET": " ".join(settings)}
    with pytest.MonkeyPatch.context() as patch, forked_kernels(folder / "kernels" / FORKED):
        patch.setenv("JUPYTER_PATH", str(folder))
        yield kept | tiny | {"NITIDO_CACHE": str(folder / "cache"), "IPYTHONDIR": str(folder / "ipython")}


def execute(notebook: Any, folder: Path, environment: dict[str, str], kernel: str = FORKED) -> None:
    """Run `notebook` in place; `CellExecutionError` when a cell fails."""
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, kernel_name=kernel, timeout=240, shutdown_kernel="immediate", resources=place)
    client.execute(env=environment)


@dataclass(frozen=True)
class Executed:
    """A notebook that ran: its name, its cells by their ids, and the folder it ran in."""

    name: str
    cells: dict[str, Any]
    folder: Path

    def shown(self, cell: str, kind: str) -> list[str]:
        """What the cell displayed of a MIME type."""
        outputs = self.cells[cell].outputs
        return [output.data[kind] for output in outputs if "data" in output and kind in output.data]

    def printed(self, cell: str) -> str:
        """What the cell printed."""
        return "".join(output.text for output in self.cells[cell].outputs if output.output_type == "stream")

    def images(self, cell: str) -> list[Image.Image]:
        """The PNGs that the cell displayed."""
        return [Image.open(io.BytesIO(base64.b64decode(png))) for png in self.shown(cell, "image/png")]


@pytest.fixture(scope="module")
def run(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Executed]:
    """Run a notebook by its name, once."""

    @cache
    def once(name: str) -> Executed:
        notebook, folder = read(name), tmp_path_factory.mktemp(name)
        execute(notebook, folder, environment)
        return Executed(name, {cell.id: cell for cell in notebook.cells}, folder)

    return once


@pytest.fixture(params=NAMES)
def executed(request: pytest.FixtureRequest, run: Callable[[str], Executed]) -> Executed:
    return run(request.param)


def table(markdown: str) -> list[list[str]]:
    """The cells of a Markdown table, line by line, the header first."""
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("|")]
    return [row for row in rows if not row[0].startswith("---")]


def test_every_study_has_its_notebook() -> None:
    assert builtin_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_committed_without_outputs_and_traces_of_a_machine(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata.language_info) == {"name"}
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        assert not cell.metadata, cell.id
        if cell.cell_type == "code":
            assert cell.outputs == [], cell.id
            assert cell.execution_count is None, cell.id


def test_nothing_is_installed_where_nitido_is(executed: Executed) -> None:
    assert "%pip install" in executed.cells["install"].source
    assert executed.cells["install"].outputs == [], "pip always has something to say"


def test_a_fresh_interpreter_begins_it_and_finds_what_the_rest_imports(
    environment: dict[str, str], tmp_path: Path
) -> None:
    notebook = read("srcnn")
    budget = next(number for number, cell in enumerate(notebook.cells) if cell.id == "budget")
    rest = [line for cell in notebook.cells[budget:] for line in cell.source.splitlines() if line.startswith("from ")]
    assert any(line.startswith("from nitido.study.run ") for line in rest)
    notebook.cells = [*notebook.cells[:budget], nbformat.v4.new_code_cell("\n".join(rest))]
    execute(notebook, tmp_path, environment, FRESH)


FAKE_PIP = """
import os, sys
from pathlib import Path
print("pip", sys.argv[1:], "in", Path.cwd().name)
"""


@pytest.mark.parametrize(
    ("project", "target"),
    [
        (None, "'nitido'"),
        ('[project]\nname = "nitido"\n', "'--editable', '..'"),
        ('[project]\nname = "another"\n', "'nitido'"),
        ("[tool.black]\n", "'nitido'"),
    ],
)
def test_nitido_is_installed_from_its_checkout_or_by_its_name(
    environment: dict[str, str], tmp_path: Path, project: str | None, target: str
) -> None:
    """By no address: whoever owns it would decide what code runs."""
    if project is not None:
        (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "fake" / "pip").mkdir(parents=True)
    (tmp_path / "fake" / "pip" / "__init__.py").write_text("")
    (tmp_path / "fake" / "pip" / "__main__.py").write_text(FAKE_PIP)
    (tmp_path / "notebooks").mkdir()
    notebook = read(NAMES[0])
    hide = nbformat.v4.new_code_cell("import sys\nsys.modules['nitido'] = None")
    notebook.cells = [hide, *(cell for cell in notebook.cells if cell.id == "install")]
    with pytest.raises(CellExecutionError, match="nitido"):
        execute(notebook, tmp_path / "notebooks", environment | {"PYTHONPATH": str(tmp_path / "fake")})
    said = "".join(output.text for output in notebook.cells[1].outputs if output.output_type == "stream")
    assert f"pip ['install', '--quiet', {target}] in notebooks" in said


def test_the_install_cell_is_the_same_everywhere() -> None:
    assert len({cell.source for name in NAMES for cell in read(name).cells if cell.id == "install"}) == 1


def test_the_network_is_drawn_and_its_costs_are_shown(executed: Executed) -> None:
    (diagram,) = executed.shown("network", "image/svg+xml")
    assert "LR image" in diagram
    parameters = re.search(r"^Parameters: +([\d,]+)$", executed.printed("summary"), flags=re.MULTILINE)
    assert parameters is not None
    assert f"{parameters[1]} parameters" in diagram


def test_every_variant_is_listed_with_its_costs(executed: Executed) -> None:
    question, markdown = executed.shown("variants", "text/markdown")
    assert "?" in question
    header, *lines = table(markdown)
    assert (header[0], header[-2]) == ("variant", "parameters")
    assert len({line[0] for line in lines}) == len(lines) >= 4
    for line in lines:
        assert len(line) == len(header)
        assert int(line[-2].replace(",", "")) > 1_000
        assert line[-1].endswith(" G")
    assert len({tuple(line[1:]) for line in lines}) == len(lines), "two variants that do not differ"


def test_the_study_ran_with_the_budget_and_every_run_finished(executed: Executed) -> None:
    assert "--set steps=4" in executed.printed("budget")
    assert "Every run has finished" in executed.printed("run")
    progress = "".join(executed.shown("run", "text/plain"))
    reached = r"(?:\d+\.\d+ dB|perceptual distance \d\.\d+)"  # srgan's adversarial variants choose by distance
    lines = re.findall(rf"validation (?:\(crop of \d+ px\) )?{reached} after 4 steps", progress)
    assert len(lines) >= 2
    assert (executed.folder / "runs" / f"{executed.name}-4-steps" / "report.html").exists()


def test_the_leaderboard_shows_bicubic_and_what_was_trained(executed: Executed) -> None:
    rankings = [table(text) for text in executed.shown("leaderboard", "text/markdown") if text.startswith("|")]
    assert len(rankings) == (2 if executed.name == "srgan" else 1)
    trained = re.search(r"variants=(\S+)", executed.printed("budget"))
    assert trained is not None
    for header, *lines in rankings:
        assert header[:2] == ["#", "variant"]
        assert {"bicubic", *trained[1].split(",")} <= {line[1].split(" ")[0] for line in lines}


def test_perception_has_a_ranking_of_its_own(run: Callable[[str], Executed]) -> None:
    executed = run("srgan")
    fidelity, perception = (table(t) for t in executed.shown("leaderboard", "text/markdown") if t.startswith("|"))
    places = {line[1].split(" ")[0]: line[0] for line in fidelity[1:]}
    assert places["srgan"] == "–"
    assert {line[1] for line in perception[1:]} == {"bicubic", "srresnet", "srgan"}
    assert all(line[0].isdigit() for line in perception[1:]), "a perceptual distance without a rank"
    (game,) = executed.images("game")
    assert game.width > 2 * game.height


def test_transferred_weights_are_shown(run: Callable[[str], Executed]) -> None:
    (markdown,) = run("srresnet").shown("transfer", "text/markdown")
    fate = {line[0]: line[2:] for line in table(markdown)[1:]}
    assert fate["unchanged"][1:] == ["0", "0", "–"]
    assert fate["half_frozen"][0] == fate["unchanged"][0]
    assert "body.0" in fate["half_frozen"][-1]
    assert int(fate["edsr_second_half"][1]) > 0


def test_the_leaderboards_images_and_the_photo_are_shown(executed: Executed) -> None:
    assert len(executed.images("images")) == (3 if executed.name == "srgan" else 2)
    (photo,) = executed.images("photo-shown")
    assert min(photo.size) > 600
    grey = np.asarray(photo.convert("L"), dtype=float)
    middle = [size // 2 for size in grey.shape]
    quarters = [half for rows in np.split(grey, middle[:1]) for half in np.split(rows, middle[1:], axis=1)]
    assert all(quarter.std() > 20 for quarter in quarters), "a quarter of the figure is empty"
