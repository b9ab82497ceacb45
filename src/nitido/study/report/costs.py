"""Measure the costs of the variants on this machine once and keep them in `cost.json` of the study."""

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
"""Sides of the square LR image that is timed; the first that fits the budget is used."""
BUDGET = 12.0
"""Seconds for the timing of all variants together."""
ROUNDS = 9


@dataclass(frozen=True)
class Cost:
    """The costs of one variant; None means unknown.

    Attributes:
        parameters: Number of parameters.
        macs: MACs for an output of 1280×720.
        activations: Number of activations for a 256×256 LR image.
        latency: Seconds for an LR image of `Costs.side` squared in float32, the median of `rounds`.
        peak_memory: Bytes for the same image.
        macs_small: MACs for a 256×256 LR image.
        rounds: Seconds of each interleaved round, in which all variants were timed.
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
    """The costs of all variants, and the conditions of the measurement."""

    by_variant: Mapping[str, Cost]
    side: int
    processor: str
    threads: int

    @property
    def conditions(self) -> str:
        """The conditions in words."""
        return (
            f"Time (median of interleaved rounds) and peak memory: one LR image of {self.side}×{self.side}, float32, "
            f"untiled, {self.processor}, {self.threads} thread{'s' if self.threads > 1 else ''}."
        )


class _Measured(StrictModel):
    """The measurements of one model file in `cost.json`."""

    macs_small: int
    activations: int
    latency: float
    peak_memory: int | None
    rounds: tuple[float, ...] = ()


class _Record(StrictModel):
    """The contents of `cost.json`; keyed by the SHA-256 of the model files, so that new weights are measured."""

    format: Literal[1] = 1
    side: int
    processor: str
    threads: int
    models: dict[str, _Measured]


def measure_costs(models: Mapping[str, Path], sizes: Mapping[str, tuple[int, int]], cache: Path) -> Costs:
    """Return the costs of each variant; `sizes` gives (parameters, MACs) of all, also of those without a model file.

    Times are comparable only if they are taken in interleaved rounds, so all models are timed again if one is new.
    The peak memory of each model is measured once. Both are kept in `cache`.
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
    """Return earlier measurements; None if there are none or the file is damaged, so that they are repeated."""
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
    """Return the side of the timed image and the number of rounds that take about `budget` seconds in total.

    Estimated from one small image, because the time is proportional to the number of pixels.
    """

    def small_images() -> None:
        for network in networks.values():
            network(torch.rand(1, network.channels, SIDES[-1], SIDES[-1]))

    small_images()  # the first pass includes the initialization of libraries
    small = seconds_per_call(small_images, 1, torch.device("cpu"))
    rounds = {side: int(budget / (small * (side / SIDES[-1]) ** 2)) - WARM_UPS for side in SIDES}
    side = next((side for side in SIDES if rounds[side] >= 3), SIDES[-1])
    return side, min(max(rounds[side], 1), ROUNDS)
