"""From a resolved study to its runs: the product of variants, learning rates and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nitido.architectures import build, count_parameters, get_architecture, resolve_config
from nitido.inspection import count_macs, hd_lr_size
from nitido.study.spec import DataSplit, Study, merge, parse_settings
from nitido.training.hyperparameters import Hyperparameters
from nitido.validation import StrictModel


class RunConfig(StrictModel):
    """Everything a run is a function of."""

    study: str | None = None
    variant: str
    architecture: str
    config: dict[str, Any]
    hyperparameters: Hyperparameters
    data: DataSplit

    @property
    def scale(self) -> int:
        """The enlargement."""
        return int(self.config["scale"])


@dataclass(frozen=True)
class PlannedRun:
    """A run and its directory, relative to the study's."""

    config: RunConfig
    directory: Path


def plan(study: Study) -> list[PlannedRun]:
    """Every run of the study, validated: unknown variants and impossible values fail here, before any training."""
    return [
        _run(study, variant_index, learning_rate, seed)
        for variant_index in range(len(study.variants))
        for learning_rate in study.learning_rates
        for seed in study.seeds
    ]


def _run(study: Study, variant_index: int, learning_rate: float, seed: int) -> PlannedRun:
    variant = study.variants[variant_index]
    architecture = get_architecture(variant.architecture)
    config = resolve_config(architecture.name, variant.variant, {"scale": study.scale} | variant.config)
    values = study.hyperparameters.model_dump(exclude_none=True)
    values = merge(values, variant.hyperparameters) | {"learning_rate": learning_rate, "seed": seed}
    run = RunConfig(
        study=study.study,
        variant=variant.name,
        architecture=architecture.name,
        config=config.model_dump(mode="json"),
        hyperparameters=Hyperparameters.parse(values, f"variant {variant.name!r}"),
        data=study.data,
    )
    return PlannedRun(run, Path("runs", variant.name, f"lr={learning_rate:g}", f"seed={seed}"))


def single_run(architecture: str, variant: str | None, settings: Sequence[str]) -> RunConfig:
    """The run of `nitido train`: an architecture's variant with `KEY=VALUE` settings.

    A key is a hyperparameter, a key of the network's configuration, or `data.train`, `data.validation`, `data.test`.
    """
    family = get_architecture(architecture)
    variant = variant or family.base
    hyperparameters, network_keys = set(Hyperparameters.model_fields), set(family.config_class.model_fields)
    data_keys = [f"data.{split}" for split in DataSplit.model_fields]
    values = parse_settings(settings, [*hyperparameters, *network_keys, *data_keys])
    config = resolve_config(family.name, variant, {k: v for k, v in values.items() if k in network_keys})
    changes = {k: v for k, v in values.items() if k in hyperparameters}
    return RunConfig(
        variant=variant,
        architecture=family.name,
        config=config.model_dump(mode="json"),
        hyperparameters=Hyperparameters.parse(merge({"steps": 2000}, changes), "hyperparameters"),
        data=DataSplit.parse(values.get("data", {}), "data"),
    )


@dataclass(frozen=True)
class Size:
    """What a network costs: weights, and multiply-accumulates for a 1280×720 output."""

    parameters: int
    macs: int


def network_size(run: RunConfig) -> Size:
    """The size of a run's network, counted on shapes alone."""
    family = get_architecture(run.architecture)
    with torch.device("meta"):
        network = build(run.architecture, family.config_class.parse(run.config, f"variant {run.variant!r}"))
    return Size(count_parameters(network), count_macs(network, *hd_lr_size(run.scale)))


def describe_runs(runs: Sequence[PlannedRun]) -> list[dict[str, Any]]:
    """Each run as plain data: variant, architecture, scale, lr, seed, parameters, macs."""
    sizes: dict[str, Size] = {}
    described = []
    for run in (planned.config for planned in runs):
        if run.variant not in sizes:
            sizes[run.variant] = network_size(run)
        size = sizes[run.variant]
        described.append(
            {
                "variant": run.variant,
                "architecture": run.architecture,
                "scale": run.scale,
                "lr": run.hyperparameters.learning_rate,
                "seed": run.hyperparameters.seed,
                "parameters": size.parameters,
                "macs": size.macs,
            }
        )
    return described
