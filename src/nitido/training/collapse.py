"""Detects a generator whose output diverges from its input."""

from typing import Any

WINDOW = 25
"""Number of steps of the reference mean and of the running mean."""


class CollapseGuard:
    """Monitors the PSNR of a generator on training patches; the reference is the mean of the first `WINDOW` steps."""

    def __init__(self, drop: float) -> None:
        """Report a collapse if the current level is `drop` dB below the reference."""
        self.drop = drop
        self.steps = 0
        self.start = 0.0
        self.level = 0.0

    def observe(self, psnr: float) -> str | None:
        """Record the PSNR of one step in dB; return a message if the generator has collapsed, otherwise None.

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
        """Return the state for a checkpoint."""
        return {"steps": self.steps, "start": self.start, "level": self.level}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.steps, self.start, self.level = state["steps"], state["start"], state["level"]
