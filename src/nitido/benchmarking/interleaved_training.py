"""A training that others may interrupt: how the trainer takes turns with loops that know nothing of it."""

import time

import torch

from nitido.base.clock import Action, Progress, synchronize

WARM_UP = 4
"""Steps of the trainer before the first turn: where something is compiled, it is compiled there."""


class InterleavedTraining:
    """Listens to a training and lets the others have theirs after every turn of it.

    A turn is one step that is not counted, as the others have been at the caches, and `steps` that are. They are timed
    from the end of one step to the end of another, so that nothing of the trainer's is left out.

    Attributes:
        length: the steps of a training with `rounds` turns; the last one, with its validation, is in none.
        seconds: of a step, the mean of each turn.
    """

    def __init__(self, steps: int, rounds: int, device: torch.device, others: Action, progress: Progress) -> None:
        """Call `others` after each turn, in the training's thread."""
        self.steps = steps
        self.rounds = rounds
        self.device = device
        self.others = others
        self.progress = progress
        self.length = WARM_UP + rounds * (1 + steps) + 1
        self.seconds: list[float] = []
        self._started = 0.0

    def __call__(self, done: int, validation_psnr: float | None) -> None:
        """Hear that so many steps are done."""
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
