"""Describe the machine of a measurement, and what it lacks."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from nitido.base.clock import RoundSeconds, spread
from nitido.base.device import device_label
from nitido.models.bfloat16 import has_fast_bfloat16
from nitido.study.environment import processor_name
from nitido.training.precision import has_fast_float16

STEADY = 0.1
"""Maximum relative spread of rounds without a note."""


@dataclass(frozen=True)
class MachineInfo:
    """The machine of a measurement.

    Attributes:
        spread: Relative difference between the slowest and the fastest round of a contestant.
        notes: What the machine lacks, one sentence each.
    """

    device: str
    processor: str
    threads: int
    torch: str
    spread: float
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line for display."""
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return f"{self.processor}, {threads}, on {self.device}, PyTorch {self.torch}"

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return asdict(self) | {"notes": list(self.notes)}


def machine_info(device: torch.device, seconds: RoundSeconds) -> MachineInfo:
    """Describe this machine, and how steady it was during `seconds`."""
    notes = []
    if not has_fast_bfloat16(device):
        instead = "trains in float16 and upscales in float32" if has_fast_float16(device) else "computes in float32"
        notes.append(f"no bfloat16 matrix units: nitido {instead} here")
    if device.type == "cpu" and torch.get_num_threads() == 1:
        notes.append("one thread: these are the speeds of a single core")
    if any(len(rounds) == 1 for rounds in seconds.values()):
        notes.append("one round: whether the machine was steady is not known; measure several for a ratio")
    unsteady = spread(seconds)
    if unsteady > STEADY:
        notes.append(
            f"unsteady: the same round took up to {unsteady:.0%} longer than the fastest one, probably because of "
            "other programs; ignore smaller differences, and measure again when the machine is idle"
        )
    return MachineInfo(
        device_label(device), processor_name(), torch.get_num_threads(), torch.__version__, unsteady, tuple(notes)
    )
