"""Finds hyperparameters that have no effect in combination with others."""

from collections.abc import Iterator, Mapping
from typing import Any

from nitido.training.losses import ADVERSARIAL, PERCEPTUAL


def without_effect(values: Mapping[str, Any]) -> dict[str, str]:
    """Return key -> reason for the given hyperparameters that have no effect.

    `values` are those set explicitly, because a default without effect is not a mistake.

    >>> without_effect({"loss": "l1", "momentum": 0.9, "batch": 8})
    {'momentum': "momentum has no effect with optimizer 'adam': it is for muon, sgd"}
    """
    return dict(_without_effect(values))


def effective(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters as dotted key -> value, without those that have no effect.

    >>> effective({"optimizer": "sgd", "perceptual": {"backbone": "vgg19"}, "loss": {"l1": 1.0}})
    {'optimizer': 'sgd', 'loss': {'l1': 1.0}}
    """
    useless = without_effect(values)
    found = {}
    for key in keys(values):
        if key not in useless:
            value: Any = values
            for part in key.split("."):
                value = value[part]
            found[key] = value
    return found


def _without_effect(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    optimizer = values.get("optimizer", "adam")
    if "momentum" in values and optimizer not in ("muon", "sgd"):
        yield "momentum", f"momentum has no effect with optimizer {optimizer!r}: it is for muon, sgd"
    if optimizer == "adamw" and not values.get("weight_decay"):
        yield "optimizer", "optimizer 'adamw' equals adam without weight_decay"
    loss = values.get("loss", ())
    terms = [loss] if isinstance(loss, str) else loss
    for group in (PERCEPTUAL, ADVERSARIAL):
        if group not in terms:
            for key in keys(values.get(group), group):
                yield key, f"{key} has no effect without the loss term {group!r}"
    discriminator = _group(_group(values, ADVERSARIAL), "discriminator")
    if discriminator.get("normalization") == "none" and ADVERSARIAL in terms:
        for key in keys(discriminator, "adversarial.discriminator"):
            if ".batch_norm_" in key:
                yield key, f"{key} has no effect with adversarial.discriminator.normalization 'none'"


def keys(value: Any, path: str = "") -> list[str]:
    """Return the dotted keys of a nested mapping's values; a loss is one value.

    >>> keys({"batch": 8, "loss": {"l1": 1}, "adversarial": {"discriminator": {"width": 8}}})
    ['batch', 'loss', 'adversarial.discriminator.width']
    """
    if not isinstance(value, Mapping):
        return [path] if value is not None else []
    if path == "loss":
        return [path]
    return [key for name, part in value.items() for key in keys(part, f"{path}.{name}" if path else str(name))]


def _group(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}
