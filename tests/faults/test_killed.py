"""Killed before any of its file-system operations and started again, a job ends with the result of one never killed.

`NITIDO_KILL_STATES=all` tries every state, where otherwise some are chosen evenly.
"""

import os
import signal
from pathlib import Path

from tests.faults.jobs import UPSCALE, Job, Make, study, train
from tests.faults.results import differences, result_of

EVERY = os.environ.get("NITIDO_KILL_STATES") == "all"


def chosen(states: list[Path], count: int) -> list[Path]:
    """`count` of the states, evenly, the first and the last among them."""
    if EVERY or len(states) <= count:
        return states
    return [states[round(i * (len(states) - 1) / (count - 1))] for i in range(count)]


def survives(job: Job, count: int) -> None:
    _, expected = job.undisturbed()
    failed = []
    for state in chosen(job.states(), count):
        ended, found = job.resumed(state)
        wrong = [f"exit code {ended.code}: {ended.err[-1500:]}"] if ended.code else []
        wrong += differences(expected, found)
        if wrong:
            operation = (state / "operation").read_text()
            failed.append(f"killed before operation {int(state.name)}, {operation}:\n  " + "\n  ".join(wrong))
    assert not failed, f"{len(failed)} states:\n" + "\n".join(failed)


class TestTraining:
    def test_is_resumed_to_the_same_bits(self, make: Make) -> None:
        survives(make(*train()), 30)

    def test_a_process_that_is_really_killed_is_resumed_too(self, make: Make) -> None:
        """The other states are copies. TensorBoard has a thread, so that a number may stand for another operation."""
        job = make(*train())
        ended, expected = job.undisturbed()
        total = ended.value["operations"]
        for number in range(total // 10, total, total // 5):
            job.clear()
            assert job.run(die_at=number).code == -signal.SIGKILL
            ended = job.run()
            assert ended.code == 0, ended
            assert not differences(expected, result_of(job.work)), number


class TestStudy:
    def test_is_resumed_to_the_same_table(self, make: Make, tmp_path: Path) -> None:
        survives(make(*study(tmp_path)), 12)


class TestFolder:
    def test_is_upscaled_to_the_same_images(self, make: Make) -> None:
        survives(make(*UPSCALE), 60)
