"""Fits a training step into the available memory, with micro-batches or activations offloaded to disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nitido.base.live_tensors import LiveTensors
from nitido.base.out_of_memory import unless_out_of_memory
from nitido.training.memory.allocator import keep_no_memory
from nitido.training.memory.disk_offloading import OffloadToDisk
from nitido.training.memory.limit import OutOfMemoryError

T = TypeVar("T")

GROWTH_PER_TENSOR_BYTE = 2.0
"""Upper bound of the process's growth per byte of its tensors, which includes workspaces and heap fragmentation.

Measured on networks of all families: 1.0 to 1.9.
"""


class StepMemory:
    """How the steps of a run are computed: the whole batch in memory, or, if it does not fit, with less memory.

    Attributes:
        batch: Patches per step.
        micro_batch: Patches per forward and backward pass; gradients are accumulated.
        offloaded: Whether activations are offloaded to disk.
        together: What needs the whole batch at once, in words; None if accumulated gradients are the same.
        folder: Where offloaded activations are stored.
    """

    def __init__(self, batch: int) -> None:
        """Start with the whole batch in memory, and nothing that needs it at once."""
        self.batch = batch
        self.micro_batch = batch
        self.offloaded = False
        self.together: str | None = None
        self.folder = Path()

    @property
    def is_reduced(self) -> bool:
        """Whether steps are computed with less memory than the whole batch needs."""
        return self.offloaded or self.micro_batch < self.batch

    def fit_into(self, available: int, step: Callable[[int], object]) -> None:
        """Choose a mode that is estimated to fit into `available` bytes; `step(n)` computes a step of n patches."""
        fitting = unless_out_of_memory(lambda: patches_that_fit(self.batch, available, step)) or 1
        if self.together is None:
            self.micro_batch = fitting
        else:
            self.offloaded = fitting < self.batch
        if self.is_reduced:
            keep_no_memory()

    def calculate(self, step: Callable[[], T], undo: Callable[[], None]) -> T:
        """Return the result of `step`. If it runs out of memory, call `undo` and retry with less memory.

        Raises:
            OutOfMemoryError: Memory cannot be reduced further.
        """
        while (found := unless_out_of_memory(self._with_offloading(step))) is None:
            undo()
            self._reduce()
            keep_no_memory()
        return found

    def _with_offloading(self, step: Callable[[], T]) -> Callable[[], T]:
        if not self.offloaded:
            return step

        def offloaded() -> T:
            with OffloadToDisk(self.folder):
                return step()

        return offloaded

    def _reduce(self) -> None:
        if self.together is None and self.micro_batch > 1:
            self.micro_batch = half(self.micro_batch)
        elif not self.offloaded:
            self.offloaded = True
        elif self.together is None:
            raise OutOfMemoryError("out of memory for a step on a single patch: use a smaller patch")
        else:
            raise OutOfMemoryError(
                f"out of memory for the {self.batch} patches of a step, which {self.together} needs at once: use a "
                "smaller batch or patch"
            )

    def __str__(self) -> str:
        """Return the mode in words."""
        words = []
        if self.micro_batch < self.batch:
            words.append(f"{self.micro_batch} of {self.batch} patches per micro-batch")
        if self.offloaded:
            reason = f", because {self.together} needs all {self.batch} patches at once" if self.together else ""
            words.append(f"activations offloaded to disk{reason}")
        return " and ".join(words) or f"all {self.batch} patches at once"

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"micro_batch": self.micro_batch, "offloaded": self.offloaded}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint; version 0.1 had the keys `at_once` and `in_file`."""
        self.micro_batch = state["micro_batch"] if "micro_batch" in state else state["at_once"]
        self.offloaded = state["offloaded"] if "offloaded" in state else state["in_file"]


def patches_that_fit(batch: int, available: int, step: Callable[[int], object]) -> int:
    """Return how many of `batch` patches fit into `available` bytes together: all, half, a quarter, …; at least one.

    `step(n)` computes a step of n patches with its gradients. Memory is measured with two and three patches, because
    batch normalization may fail with one.
    """
    if batch == 1:
        return 1
    step(2)  # allocates what does not depend on the number of patches, such as gradients
    two, three = (_bytes_of(step, patches) for patches in (2, 3))
    each = max(1, three - two)
    fitting = (available / GROWTH_PER_TENSOR_BYTE - max(0, two - 2 * each)) / each
    micro_batch = batch
    while micro_batch > max(1, fitting):
        micro_batch = half(micro_batch)
    return micro_batch


def half(patches: int) -> int:
    """Return half of `patches` (more than one), rounded up."""
    return -(-patches // 2)


def _bytes_of(step: Callable[[int], object], patches: int) -> int:
    with LiveTensors() as live:
        step(patches)
    return live.peak
