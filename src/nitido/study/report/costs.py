"""What the shown variants cost on this machine: counted, measured once, and kept in the study's `cost.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import torch
from pydantic import ValidationError

from nitido.architectures import SuperResolutionNetwork
from nitido.base.clock import seconds_per_call
from nitido.base.file_hash import sha256_of_file
from nitido.base.json_files import DamagedFileError, read_json, write_json
from nitido.base.validation import StrictModel
from nitido.evaluation.cost import count, time_rounds
from nitido.evaluation.cost.latency import WARM_UPS
from nitido.models import load_model_file
from nitido.models.peak_memory import peak_memories
from nitido.study.environment import processor_name

FILE = "cost.json"
SIDES = (256, 128, 64, 32)
"""Sides of the square LR picture that is timed, the first that fits the budget."""
BUDGET = 12.0
"""Seconds for timing all variants together."""
ROUNDS = 9


@dataclass(frozen=True)
class Cost:
    """One variant's costs: `macs` for an output of 1280×720, `macs_small` and `activations` for 256×256 LR.

    None is not known.

    `latency` is in seconds and `peak_memory` in bytes for an LR picture of `Costs.side` squared, float32.
    `rounds` are the seconds of each round, in which all variants were timed; `latency` is their median.
    """

    parameters: int
    macs: int
    activations: int | None = None
    latency: float | None = None
    peak_memory: int | None = None
    macs_small: int | None = None
    rounds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Costs:
    """The costs of variants, and under which conditions they were measured."""

    by_variant: Mapping[str, Cost]
    side: int
    processor: str
    threads: int

    @property
    def conditions(self) -> str:
        """In words."""
        return (
            f"Time (median of interleaved runs) and peak memory: one LR picture of {self.side}×{self.side}, float32, "
            f"whole picture, {self.processor}, {self.threads} thread{'s' if self.threads > 1 else ''}."
        )


class _Measured(StrictModel):
    """What `cost.json` holds of a model file."""

    macs_small: int
    activations: int
    latency: float
    peak_memory: int | None
    rounds: tuple[float, ...] = ()


class _Record(StrictModel):
    """`cost.json`: by the SHA-256 of the model files, so that a new training is measured anew."""

    format: Literal[1] = 1
    side: int
    processor: str
    threads: int
    models: dict[str, _Measured]


def measure_costs(models: Mapping[str, Path], sizes: Mapping[str, tuple[int, int]], cache: Path) -> Costs:
    """The costs of each variant's model file; `sizes` gives (parameters, MACs) of all, with a model or without.

    Times are comparable only when they are taken in turn, so one new model file has all of them timed again; what
    a model takes of memory is measured once. Both are kept in `cache`.
    """
    hashes = {name: sha256_of_file(path) for name, path in models.items()}
    record = _read(cache)
    if models and (record is None or not set(hashes.values()) <= set(record.models)):
        record = _measure(models, hashes, record)
        write_json(cache, record.model_dump(mode="json"))
    found: dict[str, Cost] = {}
    for name, (parameters, macs) in sizes.items():
        known = record.models.get(hashes[name]) if record is not None and name in hashes else None
        found[name] = (
            Cost(parameters, macs, known.activations, known.latency, known.peak_memory, known.macs_small, known.rounds)
            if known is not None
            else Cost(parameters, macs)
        )
    return Costs(found, *((record.side, record.processor, record.threads) if record is not None else (0, "", 0)))


def _read(cache: Path) -> _Record | None:
    """What was measured before; None where there is nothing, or nothing that can be read: it is measured again."""
    if not cache.exists():
        return None
    try:
        return _Record.model_validate(read_json(cache, "it is measured again"))
    except (DamagedFileError, ValidationError):
        return None


def _measure(models: Mapping[str, Path], hashes: Mapping[str, str], old: _Record | None) -> _Record:
    networks = {name: load_model_file(path).network.eval() for name, path in models.items()}
    side, rounds = choose_effort(networks)
    seconds = time_rounds(networks, (side, side), rounds)
    memory = {digest: m.peak_memory for digest, m in old.models.items()} if old is not None and old.side == side else {}
    new = {hashes[name]: path for name, path in models.items() if hashes[name] not in memory}
    memory |= dict(zip(new, peak_memories(list(new.values()), (side, side)) if new else (), strict=True))
    counts = {name: count(network) for name, network in networks.items()}
    measured = {
        hashes[name]: _Measured(
            macs_small=counts[name].macs_small,
            activations=counts[name].activations,
            latency=median(seconds[name]),
            rounds=tuple(seconds[name]),
            peak_memory=memory[hashes[name]],
        )
        for name in models
    }
    return _Record(side=side, processor=processor_name(), threads=torch.get_num_threads(), models=measured)


@torch.inference_mode()
def choose_effort(networks: Mapping[str, SuperResolutionNetwork], budget: float = BUDGET) -> tuple[int, int]:
    """The side of the timed picture and the number of rounds that keep all of it within about `budget` seconds.

    Estimated from one small picture, since time grows with the number of pixels.
    """

    def small_pictures() -> None:
        for network in networks.values():
            network(torch.rand(1, network.channels, SIDES[-1], SIDES[-1]))

    small_pictures()  # the libraries set themselves up
    small = seconds_per_call(small_pictures, 1, torch.device("cpu"))
    rounds = {side: int(budget / (small * (side / SIDES[-1]) ** 2)) - WARM_UPS for side in SIDES}
    side = next((side for side in SIDES if rounds[side] >= 3), SIDES[-1])
    return side, min(max(rounds[side], 1), ROUNDS)
