"""Parse `--set KEY=VALUE` into nested values, with hints for wrong keys."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from nitido.base.errors import nearest
from nitido.base.validation import dotted_keys
from nitido.study.spec import RENAMED_KEYS, StudyError
from nitido.training.hyperparameters import Hyperparameters

ALIASES = {
    "lr": "learning_rate",
    "rate": "learning_rate",
    "lrs": "learning_rates",
    "rates": "learning_rates",
    "bs": "batch",
    "batch_size": "batch",
    "batchsize": "batch",
    "epoch": "epochs",
    "step": "steps",
    "iterations": "steps",
    "iters": "steps",
    "max_steps": "steps",
    "seeds": "seed",
    "patch_size": "patch",
    "crop": "patch",
    "optim": "optimizer",
    "optimiser": "optimizer",
    "scheduler": "schedule",
    "lr_schedule": "schedule",
    "criterion": "loss",
    "losses": "loss",
    "wd": "weight_decay",
    "clip": "gradient_clip",
    "grad_clip": "gradient_clip",
    "gan": "adversarial",
    "amp": "precision",
    "dtype": "precision",
    "val_every": "validate_every",
    "warmup_steps": "warmup",
    "train": "data.train",
    "val": "data.validation",
    "validation": "data.validation",
    "data.val": "data.validation",
    "test": "data.test",
    "variants": "variant",
    "metric": "metrics",
    "upscale": "scale",
    "factor": "scale",
    "act": "activation",
    "norm": "normalization",
}
"""Common other names of keys; singular and plural forms are tried too."""

_MOST_LISTED = 5


class SettingError(StudyError):
    """A `--set` is not KEY=VALUE, or its key does not exist."""


def parse_settings(settings: Sequence[str], valid: Sequence[str]) -> dict[str, Any]:
    """Return `KEY=VALUE` arguments as nested values: commas make lists, dots separate nested keys.

    Values stay text; the configuration model parses them. Raises `SettingError` for an unknown key, a key that is
    given twice, and an empty value or part.

    >>> parse_settings(["seeds=0,1", "data.test=set5"], ["seeds", "data.test"])
    {'seeds': ['0', '1'], 'data': {'test': 'set5'}}
    >>> parse_settings(["adversarial.discriminator.width=8"], ["adversarial"])
    {'adversarial': {'discriminator': {'width': '8'}}}
    """
    values: dict[str, Any] = {}
    nested = {key.partition(".")[0] for key in dotted_keys(Hyperparameters) if "." in key}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = RENAMED_KEYS.get(key, key)
        *groups, name = key.split(".")
        if not equals or not all([*groups, name]) or not text:
            raise SettingError(f"--set {setting}: expected KEY=VALUE")
        if key not in valid and not (groups and groups[0] in nested and groups[0] in valid):
            raise unknown_key(key, valid)
        parts = text.split(",")
        if not all(part.strip() for part in parts):
            raise SettingError(f"--set {setting}: a part between the commas is empty")
        place = values
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise SettingError(f"--set {setting}: {group} has a value already")
        if name in place:
            raise SettingError(f"--set {setting}: {key} has a value already")
        place[name] = parts if len(parts) > 1 else text
    return values


def unknown_key(key: str, valid: Iterable[str]) -> SettingError:
    """Return the error for a key that `--set` does not know, with the few that look most like it.

    >>> str(unknown_key("lr", ["learning_rate", "batch"]))
    "unknown key 'lr': did you mean 'learning_rate'? (all keys: nitido train --keys)"
    """
    valid = list(valid)
    known = ALIASES.get(key.lower().replace("-", "_"))
    number = [key.removesuffix("s") if key.endswith("s") else f"{key}s"]
    meant = next((word for word in [*number, known, f"{known}s"] if word in valid), None) or nearest(key, valid)
    others = [word for word in get_close_matches(key, valid, n=_MOST_LISTED, cutoff=0.5) if word != meant]
    hint = f"did you mean {meant!r}? " if meant else ""
    near = f"near: {', '.join(others)}; " if others else ""
    return SettingError(f"unknown key {key!r}: {hint}({near}all keys: nitido train --keys)")
