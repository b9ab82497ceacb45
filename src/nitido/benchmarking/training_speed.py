"""Measure a training step: that of nitido, a plain float32 loop, the bare step, and the matrix peak."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.base.clock import (
    Progress,
    RoundSeconds,
    calls_for,
    ignore,
    medians,
    seconds_per_call,
)
from nitido.base.device import choose_device
from nitido.benchmarking.interleaved_training import InterleavedTraining
from nitido.benchmarking.loops import BareStep, PlainFloat32
from nitido.benchmarking.machine_info import MachineInfo, machine_info
from nitido.benchmarking.matrix_peak import FORMATS, MatrixPeak
from nitido.data import PatchSampler, Store, prepare, resolve
from nitido.inspection import count_macs
from nitido.training.callbacks import TrainingInterruptedError
from nitido.training.fast_path import choose
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.precision import Format
from nitido.training.train import train

ROUND_SECONDS = 1.0
"""Seconds of the plain loop per round; the other loops run the same number of steps."""
LONG = 100_000
"""Steps of the assumed training, long enough for compilation to pay off."""
FEWEST, MOST = 3, 50
"""Limits of the steps per round."""


@dataclass(frozen=True)
class TrainingTask:
    """The measured training: `batch` patches per step, each `patch` LR pixels wide and high."""

    architecture: str
    variant: str
    scale: int
    batch: int
    patch: int


@dataclass(frozen=True)
class TrainingSpeed:
    """The result of `rounds` rounds of `steps_per_round` steps each.

    Attributes:
        round_seconds: Mean seconds per step of each round: `nitido` (`nitido train` without validations),
            `plain_float32`, and `bare` (nitido's step without the trainer, with data in memory).
        gflop_per_step: 10⁹ operations of the convolutions, two per multiply-accumulate; the backward pass counts twice
            the forward pass. This includes the unused input gradient of the first layer, below 1% for EDSR.
    """

    task: TrainingTask
    round_seconds: RoundSeconds
    gflop_per_step: float
    peak_gflops: Mapping[Format, float]
    precision: Format
    compiled: bool
    kernels: bool
    rounds: int
    steps_per_round: int
    where: MachineInfo

    @property
    def step_seconds(self) -> dict[str, float]:
        """Seconds per step: the median round of each loop."""
        return medians(self.round_seconds)

    @property
    def speedup(self) -> float:
        """Speed relative to the plain float32 loop."""
        return self.step_seconds["plain_float32"] / self.step_seconds["nitido"]

    @property
    def gflops(self) -> float:
        """10⁹ operations per second of nitido's step."""
        return self.gflop_per_step / self.step_seconds["nitido"]

    @property
    def share_of_peak(self) -> float:
        """Share of the matrix peak in the number format of the steps; may exceed 1 with Winograd's algorithm."""
        return self.gflops / self.peak_gflops[self.precision]

    @property
    def trainer_overhead(self) -> float:
        """Relative overhead of the trainer with its data over the bare step; 0.02 is two percent."""
        return self.step_seconds["nitido"] / self.step_seconds["bare"] - 1

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            "architecture": self.task.architecture,
            "variant": self.task.variant,
            "scale": self.task.scale,
            "batch": self.task.batch,
            "patch": self.task.patch,
            "step_seconds": self.step_seconds,
            "speedup": self.speedup,
            "gflops": self.gflops,
            "peak_gflops": dict(self.peak_gflops),
            "share_of_peak": self.share_of_peak,
            "trainer_overhead": self.trainer_overhead,
            "gflop_per_step": self.gflop_per_step,
            "precision": self.precision,
            "compiled": self.compiled,
            "kernels": self.kernels,
            "round_seconds": {name: list(values) for name, values in self.round_seconds.items()},
            "rounds": self.rounds,
            "steps_per_round": self.steps_per_round,
            **self.where.as_json(),
        }


def measure_training(
    task: TrainingTask, rounds: int, progress: Progress = ignore, device: torch.device | None = None
) -> TrainingSpeed:
    """Train on the sample images with the default hyperparameters, interleaved with the other loops.

    Raises `ConfigError` for an unknown architecture or variant and `DataError` if the patch does not fit into the
    sample images. Ctrl-C is a `KeyboardInterrupt`.
    """
    device = device or choose_device()
    network = _network(task)
    gflop = 3 * 2 * count_macs(network, task.patch, task.patch) * task.batch / 1e9
    images = prepare(resolve("samples/train"), [task.scale])
    validation = prepare(resolve("samples/validation[:1]"), [task.scale])
    drawn = PatchSampler(images, task.scale, task.patch, seed=0).batch(0, task.batch)
    batch = torch.from_numpy(drawn[0]), torch.from_numpy(drawn[1])

    options = Hyperparameters.parse({"steps": LONG, "batch": task.batch, "patch": task.patch}, "the benchmark")
    path = choose(network, options, LONG, device)
    options = options.model_copy(update={"compile": path.as_option})
    bare = BareStep(network, options, batch, validation, device)
    plain = PlainFloat32(network, *bare.module.patches(bare.batch), options.learning_rate)
    bare()
    steps = min(max(calls_for(plain, ROUND_SECONDS, device), FEWEST), MOST)
    peaks = {name: MatrixPeak(name, device) for name in dict.fromkeys((*FORMATS, path.precision))}
    seconds: dict[str, list[float]] = {"plain_float32": [], "bare": []}

    def others() -> None:
        for name, step in (("plain_float32", plain), ("bare", bare)):
            step()  # untimed, like the trainer's first step of a round
            seconds[name].append(seconds_per_call(step, steps, device))
        for peak in peaks.values():
            peak.measure()

    interleaved = InterleavedTraining(steps, rounds, device, others, progress)
    _train(network, options.model_copy(update={"steps": interleaved.length}), images, validation, interleaved, device)
    taken = {"nitido": interleaved.seconds} | seconds
    return TrainingSpeed(
        task=task,
        round_seconds=taken,
        gflop_per_step=gflop,
        peak_gflops={name: peak.gflops for name, peak in peaks.items()},
        precision=path.precision,
        compiled=path.compiled,
        kernels=path.kernels,
        rounds=rounds,
        steps_per_round=steps,
        where=machine_info(device, taken),
    )


def _network(task: TrainingTask) -> SuperResolutionNetwork:
    config = resolve_config(task.architecture, task.variant, {"scale": task.scale})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(task.architecture, config)


def _train(
    network: SuperResolutionNetwork,
    options: Hyperparameters,
    images: Store,
    validation: Store,
    interleaved: InterleavedTraining,
    device: torch.device,
) -> None:
    """Train as `nitido train` does, in a temporary directory, with one validation after the last round."""
    whole = options.model_copy(update={"validate_every": options.steps})
    with tempfile.TemporaryDirectory(prefix="nitido-benchmark-") as directory:
        try:
            train(
                network,
                whole,
                train=images,
                validation=validation,
                scale_schedule=(network.scale,),
                directory=Path(directory),
                labels={},
                listener=interleaved,
                device=device,
            )
        except TrainingInterruptedError:
            raise KeyboardInterrupt from None  # there is nothing to resume
