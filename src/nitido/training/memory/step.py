"""How a training step is calculated so that it fits the memory there is."""

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
"""A process grows by at most so many times what its tensors take: convolutions work in memory of their own, and heaps
have gaps. Measured on networks of all families: 1.0 to 1.9 times."""


class StepMemory:
    """The way in which a run's steps are calculated: all patches together in memory, unless that is too short.

    Attributes:
        batch: the patches of a step.
        micro_batch: how many of them are calculated together; the gradients of the others are added to theirs.
        offloaded: whether what waits for the way back lies in a file.
        together: what needs all patches together, in words; None where some at a time give the same gradients.
        folder: where files lie.
    """

    def __init__(self, batch: int) -> None:
        """Begin with everything in memory, and nothing that needs all patches together."""
        self.batch = batch
        self.micro_batch = batch
        self.offloaded = False
        self.together: str | None = None
        self.folder = Path()

    @property
    def is_short(self) -> bool:
        """Whether steps are calculated otherwise than together in memory."""
        return self.offloaded or self.micro_batch < self.batch

    def fit_into(self, available: int, step: Callable[[int], object]) -> None:
        """Choose a way that seems to fit into `available` bytes; `step` is one of as many patches as it is told."""
        fitting = unless_out_of_memory(lambda: patches_that_fit(self.batch, available, step)) or 1
        if self.together is None:
            self.micro_batch = fitting
        else:
            self.offloaded = fitting < self.batch
        if self.is_short:
            keep_no_memory()

    def calculate(self, step: Callable[[], T], undo: Callable[[], None]) -> T:
        """What `step` comes to; where memory is too short for it, `undo` and so on in a way that needs less.

        Raises `OutOfMemoryError` where there is no such way.
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
            raise OutOfMemoryError("there is not enough memory for a step on a single patch: take a smaller patch")
        else:
            raise OutOfMemoryError(
                f"there is not enough memory for the {self.batch} patches of a step, which {self.together} needs "
                "together: take a smaller batch or patch"
            )

    def __str__(self) -> str:
        """The way in words."""
        words = []
        if self.micro_batch < self.batch:
            words.append(f"{self.micro_batch} of a step's {self.batch} patches are calculated at a time")
        if self.offloaded:
            reason = f", as {self.together} needs its {self.batch} patches together" if self.together else ""
            words.append(f"what a step keeps for its gradients lies in a file{reason}")
        return " and ".join(words) or f"a step's {self.batch} patches are calculated together"

    def state(self) -> dict[str, Any]:
        """Return what checkpoints keep of it."""
        return {"micro_batch": self.micro_batch, "offloaded": self.offloaded}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what a checkpoint kept; version 0.1 had the keys `at_once` and `in_file`."""
        self.micro_batch = state["micro_batch"] if "micro_batch" in state else state["at_once"]
        self.offloaded = state["offloaded"] if "offloaded" in state else state["in_file"]


def patches_that_fit(batch: int, available: int, step: Callable[[int], object]) -> int:
    """How many of `batch` patches fit into `available` bytes together: all, half of them, a quarter, …

    `step` is one of as many patches as it is told, with its gradients; two and three of them are watched, as batch
    normalisation may make nothing of one. Where not even one patch seems to fit the answer is one.
    """
    if batch == 1:
        return 1
    step(2)  # what is made once, such as gradients, is no patch's
    two, three = (_bytes_of(step, patches) for patches in (2, 3))
    each = max(1, three - two)
    fitting = (available / UNSEEN - max(0, two - 2 * each)) / each
    micro_batch = batch
    while micro_batch > max(1, fitting):
        micro_batch = half(micro_batch)
    return micro_batch


def half(patches: int) -> int:
    """Half of more than one, rounded up."""
    return -(-patches // 2)


def _bytes_of(step: Callable[[int], object], patches: int) -> int:
    with LiveTensors() as live:
        step(patches)
    return live.peak
