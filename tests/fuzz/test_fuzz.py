"""Damaged files of every kind end in a result or in one line: no traceback, no crash, no hang, no 2 GB of memory.

`NITIDO_FUZZ_FACTOR` multiplies the number of inputs, `NITIDO_FUZZ_SEED` gives other ones. A failure names its input;
`python -m tests.fuzz.replay TARGET INDEX [SEED]` makes it again and shows what happens.
"""

import json
import os
from pathlib import Path

import pytest

from tests.forked import ForkServer
from tests.fuzz.targets import TARGETS

FACTOR = float(os.environ.get("NITIDO_FUZZ_FACTOR", "1"))
SEED = int(os.environ.get("NITIDO_FUZZ_SEED", "16"))
BATCH = 100
ENOUGH = 20  # failures of a target that are shown


@pytest.fixture(scope="module")
def corpus(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    ended = fork_server.call(
        "tests.fuzz.corpus:build",
        {"folder": str(folder)},
        cwd=folder,
        environment=environment(folder, folder),
        timeout=300,
    )
    assert ended.code == 0, ended
    return folder


def environment(corpus: Path, work: Path) -> dict[str, str]:
    return {"NITIDO_CACHE": str(work / "cache"), "NITIDO_DATA": str(corpus / "data"), "PATH": "", "COLUMNS": "200"}


def test_at_least_two_thousand_inputs() -> None:
    assert sum(target.inputs for target in TARGETS.values()) >= 2000


@pytest.mark.parametrize("name", TARGETS)
def test_damaged(fork_server: ForkServer, corpus: Path, tmp_path: Path, name: str) -> None:
    count, index, wrong = max(1, round(TARGETS[name].inputs * FACTOR)), 0, []
    log = tmp_path / "log"
    while index < count and len(wrong) < ENOUGH:
        arguments = {"name": name, "seed": SEED, "first": index, "count": min(BATCH, count - index)}
        arguments |= {"corpus": str(corpus), "work": str(tmp_path / "work"), "log": str(log)}
        ended = fork_server.call(
            "tests.fuzz.targets:run_batch",
            arguments,
            cwd=tmp_path,
            environment=environment(corpus, tmp_path / "work"),
            timeout=0,
        )
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        if ended.code:
            last = entries[-1]
            assert "started" in last, ended
            wrong.append(f"input {last['started']}: the process ended with exit code {ended.code}: {ended.err[-1500:]}")
            index = last["started"] + 1
        else:
            index = entries[-1]["ended"] + 1
        wrong += [f"input {e['ended']}, {e['file']}: {e['wrong']}" for e in entries if e.get("wrong")]
        log.unlink()
    assert not wrong, f"{len(wrong)} of {index} inputs (seed {SEED}):\n" + "\n".join(wrong)
