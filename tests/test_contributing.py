"""The examples of CONTRIBUTING.md run unchanged, outside of the package."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image
from safetensors import safe_open
from torch.nn import functional

from tests.forked import ForkServer

DOCUMENT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
EXAMPLES = [text for language, text in BLOCKS if language == "python"]
(STUDY,) = (text for language, text in BLOCKS if language == "yaml")
(PACKAGE,) = (text for language, text in BLOCKS if language == "toml")
SHOW, RUN = (line for _, text in BLOCKS for line in text.splitlines() if line.startswith("NITIDO_PLUGINS="))

TINY = (
    "--set steps=4 --set validate_every=4 --set batch=2 --set patch=8 --set seeds=0 --set learning_rates=2e-3"
    " --set data.train=samples[:1] --set data.validation=./chosen_on --set data.test=./reported_on"
)
RUN_DIRECTORIES = Path("runs", "mine", "runs")
MODEL = Path("lr=0.002", "seed=0", "model.safetensors")

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with the examples of the document in the files that it names."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "my_plugin.py").write_text("\n\n".join(EXAMPLES), encoding="utf-8")
    (folder / "mine.yaml").write_text(STUDY, encoding="utf-8")
    for name, image in (("chosen_on", skimage.data.cat()), ("reported_on", skimage.data.coffee())):
        (folder / name).mkdir()
        Image.fromarray(image[:64, :96]).save(folder / name / "part.png")
    return folder


@pytest.fixture(scope="module")
def shell(folder: Path) -> Shell:
    """The lines that the document tells people to type, typed in that folder."""
    environment = {key: value for key, value in os.environ.items() if key not in ("NITIDO_PLUGINS", "PYTHONPATH")}
    environment |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "NITIDO_CACHE": str(folder / "cache"),
        "COLUMNS": "200",
    }

    def type_in(line: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-f", "-c", line],  # -f: the brackets of image sets are no patterns
            cwd=folder,
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return type_in


@pytest.fixture(scope="module")
def study(fork_server: ForkServer, folder: Path) -> Path:
    """The directory of the document's study, run by the document's command with a tiny budget."""
    plugins, program, *words = f"{RUN} {TINY}".split()
    name, _, value = plugins.partition("=")
    assert (name, program) == ("NITIDO_PLUGINS", "nitido")
    ended = fork_server.nitido(*words, cwd=folder, environment={name: value, "NITIDO_CACHE": str(folder / "cache")})
    assert ended.code == 0, ended
    return folder / RUN_DIRECTORIES


def run_directory(study: Path, variant: str) -> Path:
    return study / variant / MODEL.parent


def test_the_study_ranks_every_word_beside_its_base(study: Path) -> None:
    board = json.loads((study.parent / "leaderboard.json").read_text())
    entries = {entry["variant"]: entry for entry in board["entries"]}
    assert board["baseline"] == "compact"
    assert set(entries) == {"bicubic", "compact", "hardswish", "inverted_bottleneck", "gradient"}
    assert all(entry["rank"] is not None for entry in entries.values())
    # Eight blocks of two 3×3 convolutions make way for eight of 1×1, depthwise 3×3 and 1×1.
    plain = 2 * (9 * 32 * 32 + 32)
    inverted = (32 * 128 + 128) + (9 * 128 + 128) + (128 * 32 + 32)
    assert entries["compact"]["parameters"] - entries["inverted_bottleneck"]["parameters"] == 8 * (plain - inverted)


def test_the_networks_hold_the_new_activation_and_block(study: Path) -> None:
    summaries = {
        variant: (run_directory(study, variant) / "summary.txt").read_text()
        for variant in ("compact", "hardswish", "inverted_bottleneck")
    }
    assert "Hardswish (first_activation)" in summaries["hardswish"]
    assert "Conv2d (depthwise)" in summaries["inverted_bottleneck"]
    # A pixel to each side for each of 8 blocks, head, end of the body, upsampler and reconstruction.
    assert "25x25 LR pixels (radius 12)" in summaries["inverted_bottleneck"]
    assert not re.search("Hardswish|depthwise", summaries["compact"])


def test_the_new_loss_is_minimized(study: Path) -> None:
    def first(variant: str) -> dict[str, float]:
        line: dict[str, float] = json.loads(
            (run_directory(study, variant) / "metrics.jsonl").read_text().splitlines()[0]
        )
        return line

    with_it, without = first("gradient"), first("compact")
    assert with_it["loss/gradient"] > 0
    assert with_it["loss/total"] == pytest.approx(with_it["loss/l1"] + with_it["loss/gradient"], rel=1e-5)
    assert with_it["loss/l1"] == without["loss/l1"], "the same patches and first weights"
    assert "loss/gradient" not in without
    models = [safe_open(run_directory(study, variant) / MODEL.name, "pt") for variant in ("gradient", "compact")]
    assert any(not torch.equal(models[0].get_tensor(key), models[1].get_tensor(key)) for key in models[0].keys())  # noqa: SIM118


def test_a_model_with_a_foreign_word_needs_the_plugin(fork_server: ForkServer, study: Path, folder: Path) -> None:
    model = run_directory(study, "hardswish") / MODEL.name
    environment = {"NITIDO_CACHE": str(folder / "cache"), "PYTHONPATH": str(folder)}
    without = fork_server.nitido("model", "show", model, cwd=folder, environment=environment)
    assert without.code == 1
    assert "unknown activation 'hardswish'" in without.err
    assert "Traceback" not in without.err
    code = f"import my_plugin, nitido; print(nitido.load_model('{model}'))"
    loaded = fork_server.python(code, cwd=folder, environment=environment)
    assert "Hardswish()" in loaded.out, loaded


def test_every_example_is_complete_by_itself(shell: Shell, folder: Path) -> None:
    assert len(EXAMPLES) == 3
    files = [folder / f"example_{number}.py" for number, _ in enumerate(EXAMPLES)]
    for file, text in zip(files, EXAMPLES, strict=True):
        file.write_text(text, encoding="utf-8")
        statements = [line for line in text.splitlines() if line and not line.startswith((" ", "}", "from ", "def "))]
        assert len(statements) == 1, "one function, one line"
        assert statements[0].startswith("register_")
    assert SHOW.startswith("NITIDO_PLUGINS=my_plugin.py nitido ")
    done = shell(
        f"{SHOW.removeprefix('NITIDO_PLUGINS=my_plugin.py')} --json -", NITIDO_PLUGINS=os.pathsep.join(map(str, files))
    )
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert len(runs) == 4 * 2 * 3, "four variants, two learning rates, three seeds"


def test_an_installed_package_needs_no_variable(fork_server: ForkServer, folder: Path) -> None:
    words = tomllib.loads(PACKAGE)["project"]["entry-points"]["nitido.plugins"]
    information = folder / "somebodys_words-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-words\nVersion: 1.0\n")
    lines = [f"{name} = {module}" for name, module in words.items()]
    (information / "entry_points.txt").write_text("\n".join(["[nitido.plugins]", *lines]))
    command = ["study", "show", "mine.yaml", "--json", "-"]
    environment = {"NITIDO_CACHE": str(folder / "cache"), "PYTHONPATH": str(folder)}
    ended = fork_server.nitido(*command, cwd=folder, environment=environment)
    assert ended.code == 0, ended
    assert "inverted_bottleneck" in {run["variant"] for run in json.loads(ended.out)["runs"]}


def test_the_loss_is_the_l1_distance_of_finite_differences() -> None:
    namespace: dict[str, Callable[..., torch.Tensor]] = {}
    (example,) = (text for text in EXAMPLES if "def gradient_loss" in text)
    exec(re.sub(r"^register_loss.*", "", example, flags=re.MULTILINE), namespace)
    sr, hr = torch.rand(2, 2, 3, 6, 5, dtype=torch.float64)
    across = functional.l1_loss(sr[..., 1:] - sr[..., :-1], hr[..., 1:] - hr[..., :-1])
    down = functional.l1_loss(sr[..., 1:, :] - sr[..., :-1, :], hr[..., 1:, :] - hr[..., :-1, :])
    torch.testing.assert_close(namespace["gradient_loss"](sr, hr), across + down)


def test_the_document_names_only_what_exists() -> None:
    root = Path(__file__).parents[1]
    package = root / "src" / "nitido"
    paths = re.findall(r"`((?:architectures|models|upscaling|training|study|tests|docs)/[\w/.]+)`", DOCUMENT)
    paths += re.findall(r"\]\(([^)]+)\)", DOCUMENT)
    assert len(paths) > 5
    missing = [
        path for path in paths if "NAME" not in path and not any((base / path).exists() for base in (root, package))
    ]
    assert missing == []


def test_a_run_records_which_plugin_it_had(folder: Path, study: Path) -> None:
    environment = json.loads((run_directory(study, "hardswish") / "environment.json").read_text())
    assert environment["plugins"] == {
        "my_plugin.py": hashlib.sha256((folder / "my_plugin.py").read_bytes()).hexdigest()
    }
