"""Trainings in a few steps on a small store, how to stop them, and the distance of their networks."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.data import Store
from nitido.evaluation.metrics import FIDELITY_METRICS
from nitido.training.callbacks import ProgressListener
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.train import Trained, train

OPTIONS = {"steps": 8, "batch": 2, "patch": 12, "validate_every": 4, "log_every": 4, "precision": "float32"}


def options(**changes: object) -> Hyperparameters:
    return Hyperparameters.parse(OPTIONS | changes, "test")


def network() -> SuperResolutionNetwork:
    torch.manual_seed(3)
    return build("srcnn", resolve_config("srcnn", "debug", {}))


def train_on(
    store: Store,
    directory: Path,
    network: SuperResolutionNetwork,
    options: Hyperparameters,
    listener: ProgressListener = lambda step, psnr: None,
    scale_schedule: Sequence[int] = (2,),
    metrics: Sequence[str] = FIDELITY_METRICS,
) -> Trained:
    """Train `network` on `store`, at ×2 where no other `scale_schedule` are given, and validate it there too."""
    return train(
        network,
        options,
        train=store,
        validation=store,
        scale_schedule=scale_schedule,
        directory=directory,
        labels={"variant": "debug"},
        listener=listener,
        metrics=metrics,
    )


def run(
    store: Store,
    directory: Path,
    trained: SuperResolutionNetwork | None = None,
    listener: ProgressListener = lambda step, psnr: None,
    metrics: Sequence[str] = FIDELITY_METRICS,
    **changes: object,
) -> SuperResolutionNetwork:
    """The tiny SRCNN, or another network, after a training."""
    trained = trained or network()
    train_on(store, directory, trained, options(**changes), listener, metrics=metrics)
    return trained


def stop_at(step: int):
    def listener(done: int, psnr: float | None) -> None:
        if done == step and psnr is None:
            os.kill(os.getpid(), signal.SIGINT)

    return listener


def distance(a: nn.Module, b: nn.Module) -> float:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return max((x.double() - y.double()).abs().max().item() for x, y in pairs)
