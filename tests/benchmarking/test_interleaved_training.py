"""Tests which steps of the trainer belong to a round, and that the time of other contestants is not counted."""

import pytest
import torch

from nitido.benchmarking.interleaved_training import WARM_UP, InterleavedTraining

CPU = torch.device("cpu")


@pytest.mark.parametrize(("steps", "rounds"), [(1, 1), (3, 2), (5, 4)])
def test_every_round_is_reported_and_the_others_run_between(steps: int, rounds: int) -> None:
    others: list[int] = []
    reported: list[tuple[int, int]] = []
    done = 0
    seconds = InterleavedTraining(
        steps, rounds, CPU, lambda: others.append(done), lambda *found: reported.append(found)
    )
    for number in range(1, seconds.length + 1):
        done = number
        seconds(done, None)
    seconds(done, 30.0)
    assert len(seconds.seconds) == rounds
    assert others == [WARM_UP + (1 + steps) * (turn + 1) for turn in range(rounds)]
    assert others[-1] < seconds.length, "the step before the validation is in no turn"
    assert reported == [(turn + 1, rounds) for turn in range(rounds)]


def test_the_others_and_the_first_step_of_a_round_are_not_timed(clock) -> None:
    steps = 2
    seconds = InterleavedTraining(steps, 2, CPU, lambda: clock.sleep(100), lambda done, rounds: None)
    for done in range(1, seconds.length + 1):
        place = (done - WARM_UP) % (1 + steps)
        clock.sleep(50 if done <= WARM_UP or place == 1 else 1 + done)
        seconds(done, None)
    first, second = WARM_UP + 2, WARM_UP + 5
    assert seconds.seconds == [((1 + first) + (2 + first)) / 2, ((1 + second) + (2 + second)) / 2]
