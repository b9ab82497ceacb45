"""A guard against a generator that forgets the picture."""

from typing import Any

WINDOW = 25
"""Steps whose mean counts as the start, and over which the present level is averaged."""


class CollapseGuard:
    """Watches the PSNR of a generator on its training patches; its start is the mean of the first `WINDOW` steps."""

    def __init__(self, drop: float) -> None:
        """Call it a collapse when the present level is `drop` dB below the start."""
        self.drop = drop
        self.steps = 0
        self.start = 0.0
        self.level = 0.0

    def observe(self, psnr: float) -> str | None:
        """Take one step's PSNR in dB; returns what happened when the generator collapsed, else None.

        >>> guard = CollapseGuard(drop=6.0)
        >>> [guard.observe(30.0) for _ in range(100)][-1] is None
        True
        >>> [guard.observe(12.0) for _ in range(100)][-1]
        'PSNR on training patches fell from 30.0 to 12.3 dB'
        """
        self.steps += 1
        if self.steps <= WINDOW:
            self.start += (psnr - self.start) / self.steps
            self.level = self.start
            return None
        self.level += (psnr - self.level) / WINDOW
        if self.start - self.level <= self.drop:
            return None
        return f"PSNR on training patches fell from {self.start:.1f} to {self.level:.1f} dB"

    def state(self) -> dict[str, Any]:
        """What it has seen, for a checkpoint."""
        return {"steps": self.steps, "start": self.start, "level": self.level}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.steps, self.start, self.level = state["steps"], state["start"], state["level"]
