"""Tests the notes about the machine of a measurement."""

import pytest
import torch

from nitido.benchmarking import machine_info as module
from nitido.benchmarking.machine_info import machine_info

CPU = torch.device("cpu")


@pytest.fixture
def good_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)


@pytest.mark.usefixtures("good_machine")
def test_a_steady_machine_that_lacks_nothing_has_no_notes() -> None:
    assert machine_info(CPU, {"a": [1.0, 1.05], "b": [3.0, 3.0]}).notes == ()


@pytest.mark.usefixtures("good_machine")
def test_rounds_that_disagree_are_reported_with_their_spread() -> None:
    found = machine_info(CPU, {"a": [1.0, 1.0], "b": [2.0, 3.0, 2.0]})
    assert found.spread == 0.5
    assert len(found.notes) == 1
    assert "up to 50% longer" in found.notes[0]


@pytest.mark.usefixtures("good_machine")
def test_one_round_says_nothing_of_its_steadiness() -> None:
    (note,) = machine_info(CPU, {"a": [1.0], "b": [2.0]}).notes
    assert note.startswith("one round: whether the machine was steady is not known")


def test_one_core_and_no_bfloat16_are_reported_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_fast_bfloat16", lambda device: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    notes = machine_info(CPU, {"a": [1.0]}).notes
    assert [sum(word in note for note in notes) for word in ("bfloat16", "one thread")] == [1, 1]
