"""Every option of the commands that make studies and runs, and settings of the user that may interfere."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from nitido.cli.app import app
from tests.matrix.conftest import SHORT, STUDY, Nitido, changed, complete

DATA = [word for split in ("train", "validation", "test") for word in ("--set", f"data.{split}=images/{split}")]
HYPERPARAMETERS = [word for key, value in SHORT.items() for word in ("--set", f"{key}={str(value).lower()}")]


def options() -> Iterator[str]:
    """Every option and argument of `train` and of the commands of `study`, as "study run --json"."""
    group: Any = typer.main.get_command(app)
    commands = {f"study {name}": command for name, command in group.commands["study"].commands.items()}
    commands["train"] = group.commands["train"]
    for name, command in commands.items():
        for parameter in command.params:
            yield f"{name} {max(parameter.opts, key=len)}"


def _study_file(nitido: Nitido) -> str:
    """A study with two profiles, and no directory of it yet."""
    demo = changed(STUDY["profiles"]["demo"], {"seeds": [7]})
    (nitido.folder / "options.yaml").write_text(yaml.safe_dump(changed(STUDY, {"profiles/other": demo})))
    return "options.yaml"


def _run(nitido: Nitido, *args: object, **environment: str) -> Path:
    out = nitido.folder / "options"
    shutil.rmtree(out, ignore_errors=True)
    ended = nitido("study", "run", _study_file(nitido), "--out", "options", *args, **environment)
    assert ended.code == 0, ended
    complete(out)
    return out


def study_list_json(nitido: Nitido) -> None:
    assert json.loads(nitido("study", "list", "--json", "-").out)["studies"]


def study_show_study(nitido: Nitido) -> None:
    ended = nitido("study", "show", _study_file(nitido))
    assert ended.code == 0, ended
    assert "debug" in ended.out


def study_show_profile(nitido: Nitido) -> None:
    shown = json.loads(nitido("study", "show", _study_file(nitido), "--profile", "other", "--json", "-").out)
    assert shown["profile"] == "other"
    assert [run["seed"] for run in shown["runs"]] == [7]


def study_show_set(nitido: Nitido) -> None:
    shown = json.loads(nitido("study", "show", _study_file(nitido), "--set", "seeds=1,2", "--json", "-").out)
    assert [run["seed"] for run in shown["runs"]] == [1, 2]


def study_show_json(nitido: Nitido) -> None:
    assert nitido("study", "show", _study_file(nitido), "--json", "shown.json").code == 0
    assert json.loads((nitido.folder / "shown.json").read_text())["study"] == "tiny"


def study_run_profile(nitido: Nitido) -> None:
    out = _run(nitido, "--profile", "other")
    assert (out / "runs" / "debug" / "lr=0.001" / "seed=7").is_dir()


def study_run_json(nitido: Nitido) -> None:
    out = _run(nitido, "--json", "board.json")
    assert json.loads((nitido.folder / "board.json").read_text()) == json.loads((out / "leaderboard.json").read_text())


def study_run_open(nitido: Nitido) -> None:
    folder = nitido.folder / "opener"
    folder.mkdir(exist_ok=True)
    (folder / "xdg-open").write_text(
        f'#!/bin/sh\necho "$1" > {folder}/opened.tmp; mv {folder}/opened.tmp {folder}/opened\n'
    )
    (folder / "xdg-open").chmod(0o755)
    out = _run(nitido, "--open", PATH=f"{folder}:/usr/bin:/bin")
    deadline = time.monotonic() + 20
    while not (folder / "opened").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert Path((folder / "opened").read_text().strip()).name == "report.html"
    assert (out / "report.html").exists()


def study_run_device(nitido: Nitido) -> None:
    out = _run(nitido, "--device", "cpu")
    recorded = [json.loads(file.read_text())["device"] for file in out.rglob("environment.json")]
    assert set(recorded) == {"cpu"}
    refused = nitido("study", "run", _study_file(nitido), "--out", "elsewhere", "--device", "cuda:99")
    assert refused.code == 1
    assert len(refused.error_lines) == 1
    assert not (nitido.folder / "elsewhere").exists()


def study_run_set(nitido: Nitido) -> None:
    out = _run(nitido, "--set", "seeds=1,2", "--set", "steps=1", "--set", "baseline=debug")
    assert len(list(out.glob("runs/debug/*/*"))) == 2


def study_run_of_a_directory(nitido: Nitido) -> None:
    _run(nitido)
    again = nitido("study", "run", "options")
    assert again.code == 0, again
    refused = nitido("study", "run", "options", "--set", "steps=3")
    assert refused.code == 1
    assert len(refused.error_lines) == 1


def study_run_jobs(nitido: Nitido) -> None:
    out = _run(nitido, "--jobs", "1", "--executor", "local")
    assert json.loads((out / "jobs.json").read_text())["jobs"] == 1
    assert all((file.parent / "log.txt").exists() for file in out.rglob("task.json"))
    assert list(out.rglob("task.json"))


def study_run_options_of_a_cluster(nitido: Nitido) -> None:
    for option, value in (("--resource", "cpus=2"), ("--address", "auto")):
        refused = nitido("study", "run", _study_file(nitido), "--out", "elsewhere", option, value)
        assert refused.code == 1
        assert f"{option} is for --executor" in refused.error_lines[0]
        assert not (nitido.folder / "elsewhere").exists()


def study_watch(nitido: Nitido) -> None:
    out = _run(nitido)
    ended = nitido("study", "watch", "options", "--json", "-")
    assert ended.code == 0, ended
    assert json.loads(ended.out) == json.loads((out / "leaderboard.json").read_text())


def study_report(nitido: Nitido) -> None:
    out = _run(nitido)
    before = json.loads((out / "leaderboard.json").read_text())
    (out / "report.html").unlink()
    ended = nitido("study", "report", "options", "--json", "-")
    assert ended.code == 0, ended
    assert json.loads(ended.out) == before
    complete(out)


def train(nitido: Nitido) -> None:
    shutil.rmtree(nitido.folder / "trained", ignore_errors=True)
    command = ["train", "edsr", "--variant", "debug", "--out", "trained", *DATA, *HYPERPARAMETERS]
    command += ["--set", "width=3", "--set", "upsampler=bicubic", "--set", "scales=2,3"]
    ended = nitido(*command, "--device", "cpu")
    assert ended.code == 0, ended
    assert json.loads((nitido.folder / "trained" / "environment.json").read_text())["device"] == "cpu"
    descriptor = nitido("model", "show", "trained", "--json", "-")
    assert descriptor.code == 0, descriptor
    assert json.loads(descriptor.out)["config"]["width"] == 3
    measured = nitido("evaluate", "trained", "--data", "images/test", "--scale", 3, "--json", "-")
    assert measured.code == 0, measured


def train_resume(nitido: Nitido) -> None:
    model = next(_run(nitido).rglob("model.safetensors"))
    before = model.read_bytes()
    model.unlink()
    ended = nitido("train", "--resume", model.parent)
    assert ended.code == 0, ended
    assert model.read_bytes() == before


def train_transfer(nitido: Nitido) -> None:
    for name in ("first", "second"):
        shutil.rmtree(nitido.folder / name, ignore_errors=True)
    command = ["train", "edsr", "--variant", "debug", *DATA, *HYPERPARAMETERS]
    assert nitido(*command, "--out", "first").code == 0
    words = ["pretrained=first", "reinitialize=second_half", "freeze=first_half"]
    ended = nitido(*command, "--out", "second", *(word for text in words for word in ("--set", text)))
    assert ended.code == 0, ended


def train_keys(nitido: Nitido) -> None:
    ended = nitido("train", "--keys")
    assert ended.code == 0, ended
    assert "learning_rate" in ended.out
    assert "residual_scale" in ended.out


TRIED: Mapping[Callable[[Nitido], None], tuple[str, ...]] = {
    study_list_json: ("study list --json",),
    study_show_study: ("study show study",),
    study_show_profile: ("study show --profile",),
    study_show_set: ("study show --set",),
    study_show_json: ("study show --json",),
    study_run_profile: ("study run --profile", "study run study", "study run --out"),
    study_run_json: ("study run --json",),
    study_run_open: ("study run --open",),
    study_run_device: ("study run --device",),
    study_run_set: ("study run --set",),
    study_run_of_a_directory: ("study run study",),
    study_run_jobs: ("study run --jobs", "study run --executor"),
    study_run_options_of_a_cluster: ("study run --resource", "study run --address"),
    study_watch: ("study watch directory", "study watch --json"),
    study_report: ("study report directory", "study report --json"),
    train: ("train architecture", "train --variant", "train --out", "train --set", "train --device"),
    train_resume: ("train --resume",),
    train_transfer: ("train --set",),
    train_keys: ("train --keys",),
}


def test_every_option_is_tried() -> None:
    assert {option for options in TRIED.values() for option in options} == set(options())


@pytest.mark.parametrize("trial", TRIED, ids=lambda trial: trial.__name__)
def test_an_option_is_obeyed(nitido: Nitido, trial: Callable[[Nitido], None]) -> None:
    trial(nitido)


@pytest.mark.parametrize("script", ["exit 3", "kill -9 $$", "head -c 9 /dev/urandom", "echo '<svg/>' >&2; exit 1"])
def test_a_broken_dot_does_not_end_a_study(nitido: Nitido, script: str) -> None:
    folder = nitido.folder / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "dot").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "dot").chmod(0o755)
    ended, out = nitido.study(PATH=f"{folder}:/usr/bin:/bin")
    assert ended.code == 0, ended
    assert not ended.error_lines, ended
    (line,) = [line for line in ended.err.splitlines() if line.startswith("note: ")]
    assert "the detailed graph was not drawn" in line
    complete(out)


def test_a_hostile_matplotlibrc_does_not_end_a_study(nitido: Nitido) -> None:
    settings = nitido.folder / "matplotlibrc"
    settings.write_text("text.usetex: True\nfont.size: 90\nsavefig.bbox: tight\nbackend: no_such_backend\n")
    nitido.finished(MATPLOTLIBRC=str(settings))


def test_without_any_program_on_the_path(nitido: Nitido) -> None:
    nitido.finished(PATH="")
