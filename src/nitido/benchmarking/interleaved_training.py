"""Interleave a training with other loops, so that all are timed under the same conditions."""

import time

import torch

from nitido.base.clock import Action, Progress, synchronize

WARM_UP = 4
"""Steps of the trainer before the first round, which include compilation."""


class InterleavedTraining:
    """Listener of a training that runs the other contestants after every round.

    A round is one untimed step, because the others have used the caches, and `steps` timed ones. They are timed from
    the end of one step to the end of another, so that they include everything that the trainer does.

    Attributes:
        length: Number of steps of a training with `rounds` rounds; the last step, with its validation, is untimed.
        seconds: Mean seconds per step of each round.
    """

    def __init__(self, steps: int, rounds: int, device: torch.device, others: Action, progress: Progress) -> None:
        """Call `others` after each round, in the thread of the training."""
        self.steps = steps
        self.rounds = rounds
        self.device = device
        self.others = others
        self.progress = progress
        self.length = WARM_UP + rounds * (1 + steps) + 1
        self.seconds: list[float] = []
        self._started = 0.0

    def __call__(self, done: int, validation_psnr: float | None) -> None:
        """Receive the number of finished steps."""
        number, place = divmod(done - WARM_UP, 1 + self.steps)
        if done <= WARM_UP or validation_psnr is not None:
            return
        if place == 1:
            synchronize(self.device)
            self._started = time.perf_counter()
        elif place == 0:
            synchronize(self.device)
            self.seconds.append((time.perf_counter() - self._started) / self.steps)
            self.others()
            self.progress(number, self.rounds)
