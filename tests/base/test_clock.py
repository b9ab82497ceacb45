"""Tests that every contestant runs once per round in the same order, and that the warm-up is not timed."""

import pytest
import torch

from nitido.base.clock import calls_for, interleaved, medians, seconds_per_call, spread

CPU = torch.device("cpu")


def test_a_call_lasts_as_long_as_the_mean_of_all(clock) -> None:
    lasting = iter([1.0, 2.0, 6.0])
    assert seconds_per_call(lambda: clock.sleep(next(lasting)), 3, CPU) == 3


@pytest.mark.parametrize(("lasts", "at_least", "calls"), [(2.0, 1.0, 1), (1.0, 1.0, 1), (0.25, 1.0, 4), (0.3, 1.0, 4)])
def test_short_calls_are_repeated_and_long_ones_are_not(clock, lasts: float, at_least: float, calls: int) -> None:
    assert calls_for(lambda: clock.sleep(lasts), at_least, CPU) == calls


def test_contestants_alternate(clock) -> None:
    heard: list[str] = []
    reported: list[tuple[int, int]] = []

    def contestant(name: str, lasts: float):
        def call() -> None:
            heard.append(name)
            clock.sleep(lasts)

        return call

    contestants = {"a": contestant("a", 1), "b": contestant("b", 0.5)}
    found = interleaved(contestants, 3, CPU, at_least=1, progress=lambda *where: reported.append(where))
    assert heard == ["a", "a", "b", "b", *["a", "b", "b"] * 3], "two calls each that do not count, then by turns"
    assert reported == [(1, 3), (2, 3), (3, 3)]
    assert found == {"a": [1, 1, 1], "b": [0.5, 0.5, 0.5]}


def test_neither_the_warm_up_nor_one_slow_moment_counts(clock) -> None:
    lasting = iter([9.0, 1.0, 1.0, 5.0, 1.0])
    found = interleaved({"a": lambda: clock.sleep(next(lasting))}, 3, CPU, at_least=1)
    assert medians(found) == {"a": 1}
    assert spread(found) == 4


def test_with_no_least_time_every_contestant_is_called_once_a_round_after_one_warm_up(clock) -> None:
    heard: list[str] = []
    found = interleaved({"a": lambda: heard.append("a"), "b": lambda: heard.append("b")}, 2, CPU, at_least=0)
    assert heard == ["a", "b", "a", "b", "a", "b"]
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 2, "b": 2}


def test_no_round_begins_after_the_budget_but_one_is_always_completed(clock) -> None:
    found = interleaved({"a": lambda: clock.sleep(2)}, 9, CPU, at_least=0, budget=5)
    assert found == {"a": [2, 2]}, "a warm-up and two rounds last six seconds"
    assert interleaved({"a": lambda: clock.sleep(9)}, 9, CPU, at_least=0, budget=5) == {"a": [9]}
