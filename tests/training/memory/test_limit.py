"""A training is limited to the available memory, and only while it runs."""

import resource

import pytest
import torch

from nitido.training.memory.available import available_memory
from nitido.training.memory.limit import OutOfMemoryError, limited_memory, training_memory

CPU = torch.device("cpu")


def test_memory_beyond_the_limit_is_refused_during_training() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    available = available_memory(CPU)
    assert available is not None
    with pytest.raises(OutOfMemoryError, match="out of memory for this training"), training_memory():
        torch.empty(available, dtype=torch.uint8)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    torch.empty(available - (1 << 28), dtype=torch.uint8)  # untouched it costs nothing


def test_a_lower_limit_of_the_user_is_kept() -> None:
    before, highest = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, highest))
    try:
        with limited_memory():
            inside, _ = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (inside - (1 << 20), highest))
            with limited_memory():
                assert resource.getrlimit(resource.RLIMIT_DATA)[0] <= inside - (1 << 20)
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == 1 << 40
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, highest))


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), training_memory():
        torch.ones(2, 3) @ torch.ones(2, 3)
