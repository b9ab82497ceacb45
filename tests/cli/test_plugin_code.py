"""Results belong to the code of the plugins that they were made with, helper modules included."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nitido.base.json_files import read_json, write_json
from tests.cli.conftest import Done
from tests.forked import ForkServer

Nitido = Callable[..., Done]
PLUGIN = """import sys
from pathlib import Path

from torch import nn

from nitido.architectures import register_activation

sys.path.insert(0, str(Path(__file__).parent))
import helper

register_activation("mine", lambda channels: nn.LeakyReLU(helper.SLOPE))
"""
STUDY = {
    "study": "words",
    "question": "does it help?",
    "architecture": "srcnn",
    "scale": 2,
    "baseline": "plain",
    "variants": [
        {"name": "plain", "variant": "debug"},
        {"name": "mine", "variant": "debug", "config": {"activation": "mine"}},
    ],
    "profiles": {
        "demo": {
            "data": {"train": ["./train"], "validation": ["./validation"], "test": ["./test"]},
            "learning_rates": [1e-3],
            "hyperparameters": {"steps": 2, "batch": 2, "patch": 16, "validate_every": 2, "compile": False},
        }
    },
}
MINE = Path("out/runs/mine/lr=0.001/seed=0")


def slope(folder: Path, value: float) -> None:
    (folder / "helper.py").write_text(f"SLOPE = {value}\n")


def fill(folder: Path) -> None:
    """Write images, the plugin and the study."""
    for number, name in enumerate(["train", "validation", "test"]):
        small = Image.fromarray(np.random.default_rng(number).integers(0, 256, (12, 12, 3), dtype=np.uint8))
        (folder / name).mkdir()
        small.resize((48, 48), Image.Resampling.BICUBIC).save(folder / name / "a.png")
    (folder / "words.py").write_text(PLUGIN)
    slope(folder, 0.1)
    (folder / "words.yaml").write_text(yaml.safe_dump(STUDY))


def with_plugin(fork_server: ForkServer, environment: dict[str, str], folder: Path) -> Nitido:
    """Return the command with the plugin of the folder, in a process of its own."""

    def run(*args: object) -> Done:
        changed = environment | {"NITIDO_PLUGINS": str(folder / "words.py")}
        ended = fork_server.nitido(*args, cwd=folder, environment=changed, timeout=240)
        return Done(ended.code, ended.out, ended.err)

    return run


@pytest.fixture(scope="module")
def whole(fork_server: ForkServer, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study run."""
    folder = tmp_path_factory.mktemp("whole")
    fill(folder)
    done = with_plugin(fork_server, environment, folder)("study", "run", "words.yaml", "--out", "out")
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path)
    return tmp_path


@pytest.fixture
def nitido(fork_server: ForkServer, environment: dict[str, str], folder: Path) -> Nitido:
    """The command with the plugin."""
    return with_plugin(fork_server, environment, folder)


@pytest.fixture
def finished(whole: Path, folder: Path) -> Path:
    """The folder with the study run."""
    shutil.copytree(whole / "out", folder / "out")
    return folder


def test_a_run_is_trained_again_when_a_module_of_its_plugin_changed(nitido: Nitido, finished: Path) -> None:
    assert "2 runs kept" in nitido("study", "run", "words.yaml", "--out", "out").err
    slope(finished, -3.0)
    report = nitido("study", "report", "out")
    assert report.code == 0, report.err
    entries = {e["variant"]: e for e in json.loads((finished / "out/leaderboard.json").read_text())["entries"]}
    assert (entries["mine"]["status"], entries["mine"]["rank"], entries["plain"]["status"]) == (
        "another run",
        None,
        "ok",
    )
    again = nitido("study", "run", "words.yaml", "--out", "out")
    assert "1 run kept" in again.err
    assert "the code of the plugin of activation mine changed" in again.err
    (finished / "fresh.yaml").write_text((finished / "words.yaml").read_text())
    assert nitido("study", "run", "fresh.yaml", "--out", "fresh").code == 0
    tables = [(finished / out / "leaderboard.csv").read_text() for out in ("out", "fresh")]
    assert tables[0] == tables[1]


def test_a_run_of_version_0_1_is_kept_by_its_plugins_file(nitido: Nitido, finished: Path) -> None:
    path = finished / MINE / "identity.json"
    values = {key: value for key, value in read_json(path, "").items() if key != "plugin_code"}
    write_json(path, values)
    assert "2 runs kept" in nitido("study", "run", "words.yaml", "--out", "out").err
    with (finished / "words.py").open("a") as file:
        file.write("# another\n")
    assert (
        "the code of the plugin of activation mine changed" in nitido("study", "run", "words.yaml", "--out", "out").err
    )


def test_a_model_reports_changed_plugin_code(nitido: Nitido, finished: Path) -> None:
    command = ["evaluate", MINE, "--data", "test", "--scale", "2", "--json", "-"]
    words = "the plugin code of activation mine has changed since it was trained"
    right = nitido(*command)
    assert words not in right.err
    slope(finished, -3.0)
    other = nitido(*command)
    assert other.code == 0
    assert words in other.err
    assert other.out != right.out
    assert words not in nitido("evaluate", MINE.parents[2] / "plain/lr=0.001/seed=0", *command[2:]).err


def test_a_result_of_other_code_is_not_finished_already(nitido: Nitido, finished: Path) -> None:
    command = ["upscale", "test", "-o", "large", "--model", MINE]
    assert nitido(*command).code == 0
    right = (finished / "large/a.png").read_bytes()
    slope(finished, -3.0)
    assert nitido(*command).code == 0
    assert (finished / "large/a.png").read_bytes() != right
    slope(finished, 0.1)
    assert nitido(*command).code == 0
    assert (finished / "large/a.png").read_bytes() == right


def test_a_model_of_version_0_1_reports_that_its_plugins_code_is_not_recorded(nitido: Nitido, finished: Path) -> None:
    path = finished / MINE / "model.safetensors"
    with safe_open(path, "pt") as file:
        descriptor = json.loads(file.metadata()["nitido"])
    del descriptor["plugins"]
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file(tensors, path, {"nitido": json.dumps(descriptor)})
    done = nitido("evaluate", MINE, "--data", "test", "--scale", "2")
    assert done.code == 0
    assert "the plugin code of activation mine with which it was trained is not recorded" in done.err
