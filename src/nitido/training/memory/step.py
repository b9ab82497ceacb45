"""How a training step is calculated so that it fits the memory there is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nitido.base.live_tensors import LiveTensors
from nitido.base.out_of_memory import unless_memory_is_short
from nitido.training.memory.allocator import keep_no_memory
from nitido.training.memory.kept_in_file import KeptInFile
from nitido.training.memory.limit import OutOfMemoryError

T = TypeVar("T")

UNSEEN = 2.0
"""A process grows by at most so many times what its tensors take: convolutions work in memory of their own, and heaps
have gaps. Measured on networks of all families: 1.0 to 1.9 times."""


class StepMemory:
    """The way in which a run's steps are calculated: all patches together in memory, unless that is too short.

    Attributes:
        batch: the patches of a step.
        at_once: how many of them are calculated together; the gradients of the others are added to theirs.
        in_file: whether what waits for the way back lies in a file.
        together: what needs all patches together, in words; None where some at a time give the same gradients.
        folder: where files lie.
    """

    def __init__(self, batch: int) -> None:
        """Begin with everything in memory, and nothing that needs all patches together."""
        self.batch = batch
        self.at_once = batch
        self.in_file = False
        self.together: str | None = None
        self.folder = Path()

    @property
    def is_short(self) -> bool:
        """Whether steps are calculated otherwise than together in memory."""
        return self.in_file or self.at_once < self.batch

    def fit_into(self, available: int, step: Callable[[int], object]) -> None:
        """Choose a way that seems to fit into `available` bytes; `step` is one of as many patches as it is told."""
        fitting = unless_memory_is_short(lambda: patches_that_fit(self.batch, available, step)) or 1
        if self.together is None:
            self.at_once = fitting
        else:
            self.in_file = fitting < self.batch
        if self.is_short:
            keep_no_memory()

    def calculate(self, step: Callable[[], T], undo: Callable[[], None]) -> T:
        """What `step` comes to; where memory is too short for it, `undo` and so on in a way that needs less.

        Raises `OutOfMemoryError` where there is no such way.
        """
        while (found := unless_memory_is_short(self._kept(step))) is None:
            undo()
            self._spend_less()
            keep_no_memory()
        return found

    def _kept(self, step: Callable[[], T]) -> Callable[[], T]:
        if not self.in_file:
            return step

        def in_file() -> T:
            with KeptInFile(self.folder):
                return step()

        return in_file

    def _spend_less(self) -> None:
        if self.together is None and self.at_once > 1:
            self.at_once = half(self.at_once)
        elif not self.in_file:
            self.in_file = True
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
        if self.at_once < self.batch:
            words.append(f"{self.at_once} of a step's {self.batch} patches are calculated at a time")
        if self.in_file:
            reason = f", as {self.together} needs its {self.batch} patches together" if self.together else ""
            words.append(f"what a step keeps for its gradients lies in a file{reason}")
        return " and ".join(words) or f"a step's {self.batch} patches are calculated together"

    def state(self) -> dict[str, Any]:
        """The way, which checkpoints keep."""
        return {"at_once": self.at_once, "in_file": self.in_file}

    def load(self, state: dict[str, Any]) -> None:
        """Go on in the way of before."""
        self.at_once, self.in_file = state["at_once"], state["in_file"]


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
    at_once = batch
    while at_once > max(1, fitting):
        at_once = half(at_once)
    return at_once


def half(patches: int) -> int:
    """Half of more than one, rounded up."""
    return -(-patches // 2)


def _bytes_of(step: Callable[[int], object], patches: int) -> int:
    with LiveTensors() as live:
        step(patches)
    return live.peak
