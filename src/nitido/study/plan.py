"""Plan the runs of a resolved study: the product of variants, learning rates and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import model_validator

from nitido.architectures import (
    NetworkConfig,
    SuperResolutionNetwork,
    architecture_names,
    build,
    count_parameters,
    get_architecture,
    resolve_config,
)
from nitido.architectures.discriminator import check_batch, check_side
from nitido.base.number_text import number_text
from nitido.base.validation import dotted_keys
from nitido.evaluation.metrics import FIDELITY_METRICS
from nitido.evaluation.objectives import SELECTION_METRICS
from nitido.inspection import count_macs, hd_lr_size, summarize
from nitido.study.settings import parse_settings
from nitido.study.spec import DataSplit, Scales, Study, StudyError, Transfer, Variant, merge, study_settings
from nitido.study.unused_options import check_single
from nitido.training.batches import check_scales
from nitido.training.freezing import freeze
from nitido.training.hyperparameters import Hyperparameters


class RunConfig(Transfer):
    """The configuration of a run, from which it can be repeated.

    Attributes:
        metrics: The metrics of its evaluation.
        scales: The scales of a network that learns several. The first is its own scale, to which `patch` refers; a
            scale that is named twice gets twice the steps.
    """

    study: str | None = None
    variant: str
    architecture: str
    config: dict[str, Any]
    scales: Scales | None = None
    hyperparameters: Hyperparameters
    data: DataSplit
    metrics: tuple[str, ...] = FIDELITY_METRICS

    @property
    def validated(self) -> tuple[str, ...]:
        """The metrics of validations during training: the usual ones and the run's selection metric."""
        return tuple(dict.fromkeys([*FIDELITY_METRICS, SELECTION_METRICS[self.hyperparameters.objective].metric]))

    @property
    def scale(self) -> int:
        """The scale; of several, the first."""
        return int(self.config["scale"])

    @property
    def every_scale(self) -> tuple[int, ...]:
        """All scales that the network is trained for and measured at."""
        return tuple(dict.fromkeys(self.scale_schedule))

    @property
    def scale_schedule(self) -> tuple[int, ...]:
        """The scales of one round of steps; a repeated scale is used several times."""
        return self.scales or (self.scale,)

    @model_validator(mode="after")
    def _its_own_scale_first(self) -> Self:
        if self.scales is not None and self.scales[0] != self.scale:
            raise ValueError(f"scales begin with {self.scales[0]}, but the network's own scale is {self.scale}")
        return self


MOST_PARAMETERS = 10**9
_FEW_LAYERS = {"blocks": 2, "layers": 2, "depth": 4}


@dataclass(frozen=True)
class PlannedRun:
    """A run and its directory, relative to the study's."""

    config: RunConfig
    directory: Path


def plan(study: Study) -> list[PlannedRun]:
    """Return every run of the study. Unknown variants and impossible values raise errors here, before any training.

    A variant that starts from another comes after it. If one has the objective perception, all are measured for it.
    """
    runs = [
        run
        for variant in _in_order(study.variants)
        for learning_rate in variant.learning_rates or study.learning_rates
        for run in _seeded(_run(study, variant, learning_rate, max(study.seeds)), study.seeds)
    ]
    for run in {run.config.variant: run.config for run in runs}.values():
        _check_size(run)
    objectives = {run.config.hyperparameters.objective for run in runs}
    selection_metrics = [SELECTION_METRICS[objective].metric for objective in sorted(objectives)]
    metrics = tuple(dict.fromkeys([*FIDELITY_METRICS, *selection_metrics, *study.metrics]))
    return [replace(run, config=run.config.model_copy(update={"metrics": metrics})) for run in runs]


def _in_order(variants: Sequence[Variant]) -> list[Variant]:
    """Return the variants in their order, but each after the one that it starts from."""
    by_name = {variant.name: variant for variant in variants}
    ordered: dict[str, Variant] = {}

    def add(variant: Variant) -> None:
        if variant.source_variant is not None:
            add(by_name[variant.source_variant])
        ordered.setdefault(variant.name, variant)

    for variant in variants:
        add(variant)
    return list(ordered.values())


def _seeded(run: PlannedRun, seeds: Sequence[int]) -> list[PlannedRun]:
    """Return the run with each seed. All else is checked already, as a study has thousands of runs."""
    runs = []
    for seed in seeds:
        options = run.config.hyperparameters.model_copy(update={"seed": seed})
        config = run.config.model_copy(update={"hyperparameters": options})
        runs.append(PlannedRun(config, run.directory.with_name(f"seed={seed}")))
    return runs


def _run(study: Study, variant: Variant, learning_rate: float, seed: int) -> PlannedRun:
    architecture = get_architecture(variant.architecture)
    config = resolve_config(architecture.name, variant.variant, {"scale": study.scale} | variant.config)
    values = study.hyperparameters.model_dump(exclude_none=True)
    values = merge(values, variant.hyperparameters) | {"learning_rate": learning_rate, "seed": seed}
    options = Hyperparameters.parse(values, f"variant {variant.name!r}")
    _check_patch(options, study.scale)
    run = RunConfig(
        study=study.study,
        variant=variant.name,
        architecture=architecture.name,
        config=config.model_dump(mode="json"),
        hyperparameters=options,
        data=study.data,
        **{key: getattr(variant, key) for key in Transfer.model_fields},
    )
    return PlannedRun(run, Path("runs", variant.name, f"lr={number_text(learning_rate)}", f"seed={seed}"))


def _check_patch(options: Hyperparameters, scale: int) -> None:
    """Raise an error for patches that do not fit the discriminator of the run."""
    if options.is_adversarial:
        check_side(options.patch * scale)
        check_batch(options.adversarial.discriminator, options.batch, options.patch * scale)


def single_run(architecture: str, variant: str | None, settings: Sequence[str]) -> RunConfig:
    """Return the run of `nitido train`: a variant of an architecture with `KEY=VALUE` settings.

    A key is a hyperparameter, a key of the network's configuration, `data.train`, `data.validation`, `data.test`, a key
    of `Transfer` (`pretrained`, `reinitialize`, `freeze`), or `scales`: several scales that one network learns, its own
    scale first.
    """
    family = get_architecture(architecture)
    variant = variant or family.base
    hyperparameters, network_keys = set(Hyperparameters.model_fields), set(family.config_class.model_fields)
    data_keys = [f"data.{split}" for split in DataSplit.model_fields]
    transfer_keys = set(Transfer.model_fields)
    values = parse_settings(settings, [*hyperparameters, *network_keys, *data_keys, *transfer_keys, "scales"])
    if "scales" in values:
        values.setdefault("scale", _first(values["scales"]))
    config = resolve_config(family.name, variant, {k: v for k, v in values.items() if k in network_keys})
    changes = {k: v for k, v in values.items() if k in hyperparameters}
    options = Hyperparameters.parse(merge({"steps": 2000}, changes), "hyperparameters")
    check_single(family, variant, {k: v for k, v in values.items() if k in network_keys}, changes)
    _check_patch(options, config.scale)
    transfer = Transfer.parse({k: v for k, v in values.items() if k in transfer_keys}, "transfer")
    if transfer.source_variant is not None:
        raise StudyError(f"pretrained={transfer.pretrained}: only a study has variants to start from; name a model")
    run = RunConfig.parse(
        {
            "variant": variant,
            "architecture": family.name,
            "config": config.model_dump(mode="json"),
            "scales": values.get("scales"),
            "hyperparameters": options,
            "data": DataSplit.parse(values.get("data", {}), "data"),
            "metrics": tuple(dict.fromkeys([*FIDELITY_METRICS, SELECTION_METRICS[options.objective].metric])),
            **transfer.model_dump(),
        },
        "run",
    )
    _check_size(run)
    _check_scales(run)
    return run


def setting_keys() -> dict[str, list[str]]:
    """Return the keys of `--set` in groups: of hyperparameters, of data and start, of a study, of each network."""
    groups = {
        "hyperparameters": dotted_keys(Hyperparameters),
        "data and start": [*(f"data.{split}" for split in DataSplit.model_fields), *Transfer.model_fields, "scales"],
        "of studies only": [key for key in study_settings() if not key.startswith("data.")],
    }
    networks = (get_architecture(name) for name in architecture_names())
    return groups | {f"of {family.name}": [*family.config_class.model_fields] for family in networks}


def _first(value: Any) -> Any:
    """Return the first value of a `--set` with one or several values."""
    return value[0] if isinstance(value, list) else value


def _check_scales(run: RunConfig) -> None:
    """Raise an error for several scales if the loss or the network supports only one."""
    check_scales(run.hyperparameters, run.every_scale)
    if run.scales is not None:
        network = _shapes(run)
        for scale in run.every_scale:
            network.at_scale(scale)


@dataclass(frozen=True)
class Size:
    """The size of a network: parameters, and MACs for a 1280×720 output."""

    parameters: int
    macs: int


def network_size(run: RunConfig) -> Size:
    """Return the size of the network of a run, counted on the meta device."""
    return _size(run.architecture, _config(run), run.scale)


def describe_layers(run: RunConfig) -> str:
    """Return the table of the layers of the network of a run; frozen layers are in brackets."""
    network = _shapes(run)
    if run.freeze is not None:
        freeze(network, run.freeze)
    return summarize(network)


def _shapes(run: RunConfig) -> SuperResolutionNetwork:
    """Return the network of a run on the meta device, without weights."""
    with torch.device("meta"):
        return build(run.architecture, _config(run))


def _config(run: RunConfig) -> NetworkConfig:
    return get_architecture(run.architecture).config_class.parse(run.config, f"variant {run.variant!r}")


@lru_cache(maxsize=256)
def _size(architecture: str, config: NetworkConfig, scale: int) -> Size:
    with torch.device("meta"):
        network = build(architecture, config)
    return Size(count_parameters(network), count_macs(network, *hd_lr_size(scale)))


@lru_cache(maxsize=256)
def _parameters(architecture: str, config: NetworkConfig) -> int:
    with torch.device("meta"):
        return count_parameters(build(architecture, config))


def _check_size(run: RunConfig) -> None:
    """Raise `StudyError` if the run's network is too large to be trained."""
    config = _config(run)
    shallow = {key: min(run.config[key], few) for key, few in _FEW_LAYERS.items() if key in run.config}
    for built in (config.model_copy(update=shallow), config):  # the first one is fast to build at any depth
        parameters = _parameters(run.architecture, built)
        if parameters > MOST_PARAMETERS:
            raise StudyError(
                f"variant {run.variant!r}: at least {parameters:,} parameters; training them needs "
                f"{16 * parameters / 1e9:,.0f} GB for weights, gradients and optimizer state alone; at most "
                f"{MOST_PARAMETERS:,} are allowed"
            )


def describe_runs(runs: Sequence[PlannedRun]) -> list[dict[str, Any]]:
    """Return each run as plain data: variant, architecture, scale, lr, seed, parameters, macs."""
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
