"""How fast a training step is: nitido's own, a plain float32 loop, the bare step, and the machine's matrix peak."""

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

TURN = 1.0
"""Seconds that the plain loop's turn lasts; the other loops take as many steps."""
LONG = 100_000
"""Steps of the training that the fast path is chosen for: one that a compiler can pay in."""
FEWEST, MOST = 3, 50
"""How many steps a turn has, whatever a step takes."""


@dataclass(frozen=True)
class TrainingTask:
    """What is trained: `batch` patches a step, each `patch` LR pixels wide and high."""

    architecture: str
    variant: str
    scale: int
    batch: int
    patch: int


@dataclass(frozen=True)
class TrainingSpeed:
    """What was measured in `rounds` turns of `steps_per_round` steps each.

    `round_seconds` are of a step, the mean of each turn: of `nitido` (what `nitido train` does, validations apart), of
    `plain_float32`, and of `bare` (nitido's step without the trainer, on data in memory). `gflop_per_step` are 10⁹
    operations of the convolutions, two for each multiply-accumulate; backwards costs two times forwards. (The first
    layer needs no gradient of its input, which the account leaves in: less than one part in a hundred of EDSR.)
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
        """Seconds of a step: the median turn of each loop."""
        return medians(self.round_seconds)

    @property
    def speedup(self) -> float:
        """How many plain float32 steps nitido takes in the time of one."""
        return self.step_seconds["plain_float32"] / self.step_seconds["nitido"]

    @property
    def gflops(self) -> float:
        """10⁹ operations a second that nitido's step carries out."""
        return self.gflop_per_step / self.step_seconds["nitido"]

    @property
    def share_of_peak(self) -> float:
        """Of the matrix peak in the number format of the steps; Winograd's algorithm may pass 1, as it needs fewer."""
        return self.gflops / self.peak_gflops[self.precision]

    @property
    def trainer_overhead(self) -> float:
        """The share by which the trainer, with its data, makes the bare step longer; 0.02 is two percent."""
        return self.step_seconds["nitido"] / self.step_seconds["bare"] - 1

    def as_json(self) -> dict[str, Any]:
        """What scripts read."""
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
    """Train on the sample pictures with the default hyperparameters, and let the others have their turns meanwhile.

    Raises `ConfigError` for an unknown architecture or variant and `DataError` when the patch does not fit into the
    sample pictures. Ctrl-C is a `KeyboardInterrupt`.
    """
    device = device or choose_device()
    network = _network(task)
    gflop = 3 * 2 * count_macs(network, task.patch, task.patch) * task.batch / 1e9
    pictures = prepare(resolve("samples/train"), [task.scale])
    validation = prepare(resolve("samples/validation[:1]"), [task.scale])
    drawn = PatchSampler(pictures, task.scale, task.patch, seed=0).batch(0, task.batch)
    batch = torch.from_numpy(drawn[0]), torch.from_numpy(drawn[1])

    options = Hyperparameters.parse({"steps": LONG, "batch": task.batch, "patch": task.patch}, "the benchmark")
    path = choose(network, options, LONG, device)
    options = options.model_copy(update={"compile": path.as_option})
    bare = BareStep(network, options, batch, validation, device)
    plain = PlainFloat32(network, *bare.module.patches(bare.batch), options.learning_rate)
    bare()
    steps = min(max(calls_for(plain, TURN, device), FEWEST), MOST)
    peaks = {name: MatrixPeak(name, device) for name in dict.fromkeys((*FORMATS, path.precision))}
    seconds: dict[str, list[float]] = {"plain_float32": [], "bare": []}

    def others() -> None:
        for name, step in (("plain_float32", plain), ("bare", bare)):
            step()  # not counted, like the trainer's first step of a turn
            seconds[name].append(seconds_per_call(step, steps, device))
        for peak in peaks.values():
            peak.measure()

    interleaved = InterleavedTraining(steps, rounds, device, others, progress)
    _train(network, options.model_copy(update={"steps": interleaved.length}), pictures, validation, interleaved, device)
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
    pictures: Store,
    validation: Store,
    interleaved: InterleavedTraining,
    device: torch.device,
) -> None:
    """What `nitido train` does, in a directory that is thrown away; its only validation is after the last turn."""
    whole = options.model_copy(update={"validate_every": options.steps})
    with tempfile.TemporaryDirectory(prefix="nitido-benchmark-") as directory:
        try:
            train(
                network,
                whole,
                train=pictures,
                validation=validation,
                scale_schedule=(network.scale,),
                directory=Path(directory),
                labels={},
                listener=interleaved,
                device=device,
            )
        except TrainingInterruptedError:
            raise KeyboardInterrupt from None  # there is nothing to go on with
