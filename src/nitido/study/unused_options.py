"""Refuse options of a study file or `--set` that have no effect, before anything runs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch

from nitido.architectures import Architecture, build, get_architecture, resolve_config
from nitido.study.spec import Override, StudyError, StudyFile, Variant, merge
from nitido.training.unused_hyperparameters import keys, without_effect

_SWEPT = {"learning_rate": "learning_rates", "seed": "seeds"}
_SMALL = {"blocks": 2, "layers": 2, "depth": 4, "width": 8, "growth": 8}
_SHOWN_BY_LAYERS = (
    "activation",
    "normalization",
    "order",
    "second_half_block",
    "residual_scale",
    "batch_norm_momentum",
    "batch_norm_epsilon",
)
"""Network keys that may have no effect in combination with others; an effect is visible in the layers."""


def check_file(study: StudyFile, name: str, variants: Sequence[Variant]) -> None:
    """Raise `StudyError` for an option of the file that has no effect under the profile `name`.

    An option of the profile must change at least one variant; an option of a variant must change that variant.
    """
    profile = study.profiles[name]
    where = f"study {study.study!r}, profile {name!r}"
    useless: list[dict[str, str]] = []
    for variant in variants:
        override = profile.overrides.get(variant.name, Override())
        own = merge(variant.hyperparameters, override.hyperparameters)
        _refuse_swept(own, f"{where}: variant {variant.name!r}")
        found = without_effect(merge(profile.hyperparameters, own))
        useless.append(found)
        for key in keys(own):
            if key in found:
                raise StudyError(f"{where}: variant {variant.name!r}: {found[key]}")
        config = {**profile.config, **variant.config, **override.config}
        if config.get("scale", study.scale) != study.scale:
            raise StudyError(
                f"{where}: variant {variant.name!r}: scale {config['scale']} in its config, but the study ranks one "
                f"scale, {study.scale}"
            )
        _check_network(variant, study.scale, config, {**variant.config, **override.config}, where)
    _refuse_swept(profile.hyperparameters, where)
    for key in keys(profile.hyperparameters):
        if all(key in found for found in useless):
            raise StudyError(f"{where}: {useless[0][key]} in any variant")
    for other in profile.overrides:
        if profile.variants is not None and other not in profile.variants:
            raise StudyError(f"{where}: overrides of {other!r} have no effect: it is not among the profile's variants")


def check_settings(changes: Mapping[str, Any], base: Mapping[str, Any], variants: Sequence[Variant]) -> list[str]:
    """Return one line for each setting that some variants override with their own value.

    Args:
        changes: The hyperparameters that `--set` gives.
        base: Those of the profile, with the changes.
        variants: The variants that will run, with what they say themselves.

    Raises:
        StudyError: A setting changes no variant.
    """
    notes = []
    for key in keys(changes):
        kept = [variant.name for variant in variants if key in keys(variant.hyperparameters)]
        if len(kept) == len(variants):
            raise StudyError(f"--set {key} has no effect: every variant states its own")
        useless = [without_effect(merge(base, v.hyperparameters)) for v in variants if v.name not in kept]
        if all(key in found for found in useless):
            raise StudyError(f"--set {key}: {useless[0][key]}")
        if kept:
            notes.append(f"--set {key} does not reach variants that state their own: {', '.join(kept)}")
    return notes


def check_single(
    architecture: Architecture, variant: str, network: Mapping[str, Any], hyperparameters: Mapping[str, Any]
) -> None:
    """Raise `StudyError` for a setting of a single run that has no effect."""
    for reason in without_effect(hyperparameters).values():
        raise StudyError(f"--set {reason}")
    for key in _useless_keys(architecture, variant, network, network):
        raise StudyError(f"--set {key}={network[key]} has no effect on the layers of this {architecture.title}")


def _refuse_swept(hyperparameters: Collection[str], where: str) -> None:
    for key, swept in _SWEPT.items():
        if key in hyperparameters:
            raise StudyError(f"{where}: {key} among the hyperparameters has no effect: a study sweeps {swept}")


def _check_network(variant: Variant, scale: int, config: Mapping[str, Any], own: Mapping[str, Any], where: str) -> None:
    family = get_architecture(variant.architecture)
    for key in _useless_keys(family, variant.variant, {"scale": scale, **config}, own):
        raise StudyError(
            f"{where}: variant {variant.name!r}: {key} {own[key]!r} has no effect on the layers of this {family.title}"
        )


def _useless_keys(
    family: Architecture, variant: str, config: Mapping[str, Any], candidates: Iterable[str]
) -> Iterable[str]:
    """Yield the `candidates` that do not change the layers; only for the built-in architectures."""
    if not getattr(family.network_class, "__module__", "").startswith("nitido."):
        return
    resolve_config(family.name, variant, config)  # raises for invalid values first
    small = {key: value for key, value in _SMALL.items() if key in family.config_class.model_fields}
    whole = resolve_config(family.name, variant, {**config, **small})
    for key in candidates:
        if key in _SHOWN_BY_LAYERS:
            without = resolve_config(family.name, variant, {**{k: v for k, v in config.items() if k != key}, **small})
            with torch.device("meta"):
                same = without != whole and repr(build(family.name, without)) == repr(build(family.name, whole))
            if same:
                yield key
