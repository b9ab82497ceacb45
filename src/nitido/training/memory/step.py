"""Fit a training step into the available memory: micro-batches, or activations offloaded to disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nitido.base.live_tensors import LiveTensors
from nitido.base.out_of_memory import unless_out_of_memory
from nitido.training.memory.allocator import keep_no_memory
from nitido.training.memory.disk_offloading import OffloadToDisk
from nitido.training.memory.limit import OutOfMemoryError

T = TypeVar("T")

UNSEEN = 2.0
"""Bound on how much a process grows per byte of its tensors: convolutions have workspaces, and heaps have gaps.
Measured on networks of all families: 1.0 to 1.9."""


class StepMemory:
    """How the steps of a run are computed: the whole batch in memory, unless that does not fit.

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
    def is_short(self) -> bool:
        """Whether steps are computed in another way than the whole batch in memory."""
        return self.offloaded or self.micro_batch < self.batch

    def fit_into(self, available: int, step: Callable[[int], object]) -> None:
        """Choose a way that is estimated to fit into `available` bytes; `step(n)` computes a step of n patches."""
        fitting = unless_out_of_memory(lambda: patches_that_fit(self.batch, available, step)) or 1
        if self.together is None:
            self.micro_batch = fitting
        else:
            self.offloaded = fitting < self.batch
        if self.is_short:
            keep_no_memory()

    def calculate(self, step: Callable[[], T], undo: Callable[[], None]) -> T:
        """Return the result of `step`; if memory runs out, call `undo` and retry in a way that needs less.

        Raises `OutOfMemoryError` if there is no such way.
        """
        while (found := unless_out_of_memory(self._kept(step))) is None:
            undo()
            self._spend_less()
            keep_no_memory()
        return found

    def _kept(self, step: Callable[[], T]) -> Callable[[], T]:
        if not self.offloaded:
            return step

        def offloaded() -> T:
            with OffloadToDisk(self.folder):
                return step()

        return offloaded

    def _spend_less(self) -> None:
        if self.together is None and self.micro_batch > 1:
            self.micro_batch = half(self.micro_batch)
        elif not self.offloaded:
            self.offloaded = True
        elif self.together is None:
            raise OutOfMemoryError("not enough memory for a step on a single patch: use a smaller patch")
        else:
            raise OutOfMemoryError(
                f"not enough memory for the {self.batch} patches of a step, which {self.together} needs at once: use a "
                "smaller batch or patch"
            )

    def __str__(self) -> str:
        """Return the way in words."""
        words = []
        if self.micro_batch < self.batch:
            words.append(f"{self.micro_batch} of {self.batch} patches per micro-batch")
        if self.offloaded:
            reason = f", because {self.together} needs all {self.batch} patches at once" if self.together else ""
            words.append(f"activations offloaded to disk{reason}")
        return " and ".join(words) or f"all {self.batch} patches at once"

    def state(self) -> dict[str, Any]:
        """Return what checkpoints keep of it."""
        return {"micro_batch": self.micro_batch, "offloaded": self.offloaded}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what a checkpoint kept; version 0.1 had the keys `at_once` and `in_file`."""
        self.micro_batch = state["micro_batch"] if "micro_batch" in state else state["at_once"]
        self.offloaded = state["offloaded"] if "offloaded" in state else state["in_file"]


def patches_that_fit(batch: int, available: int, step: Callable[[int], object]) -> int:
    """Return how many of `batch` patches fit into `available` bytes at once: all, half of them, a quarter, …

    `step(n)` computes a step of n patches with its gradients. It is measured with two and three patches, because batch
    normalization may fail with one. At least one is returned.
    """
    if batch == 1:
        return 1
    step(2)  # allocates what does not depend on the number of patches, such as gradients
    two, three = (_bytes_of(step, patches) for patches in (2, 3))
    each = max(1, three - two)
    fitting = (available / UNSEEN - max(0, two - 2 * each)) / each
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
