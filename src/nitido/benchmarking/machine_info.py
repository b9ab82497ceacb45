"""Where something was measured, and what this machine lacks."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from nitido.base.clock import RoundSeconds, spread
from nitido.base.device import device_label
from nitido.models.bfloat16 import has_fast_bfloat16
from nitido.study.environment import processor_name
from nitido.training.precision import has_fast_float16

STEADY = 0.1
"""Spread of the turns up to which nothing is said."""


@dataclass(frozen=True)
class MachineInfo:
    """The machine that figures belong to.

    `spread` is how much longer the slowest turn of a contestant was than its fastest, as a share; `notes` say what the
    machine lacks, a sentence each.
    """

    device: str
    processor: str
    threads: int
    torch: str
    spread: float
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line for people."""
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return f"{self.processor}, {threads}, on {self.device}, PyTorch {self.torch}"

    def as_json(self) -> dict[str, Any]:
        """What scripts read."""
        return asdict(self) | {"notes": list(self.notes)}


def machine_info(device: torch.device, seconds: RoundSeconds) -> MachineInfo:
    """Describe the machine at hand, and how steady it was during `seconds`."""
    notes = []
    if not has_fast_bfloat16(device):
        instead = "trains in float16 and enlarges in float32" if has_fast_float16(device) else "computes in float32"
        notes.append(f"no bfloat16 matrix units: nitido {instead} here")
    if device.type == "cpu" and torch.get_num_threads() == 1:
        notes.append("one thread: these are the speeds of a single core")
    unsteady = spread(seconds)
    if unsteady > STEADY:
        notes.append(
            f"unsteady: the same turn took up to {unsteady:.0%} longer than at its fastest, so other programs may have "
            "been at work; do not trust smaller differences than that, and measure again when the machine is idle"
        )
    return MachineInfo(
        device_label(device), processor_name(), torch.get_num_threads(), torch.__version__, unsteady, tuple(notes)
    )
