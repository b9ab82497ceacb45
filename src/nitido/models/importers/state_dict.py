"""Unwraps state dicts from the containers and prefixes of training frameworks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nitido.models.importers.arrays import Budget, as_float32
from nitido.models.importers.weight_layout import Tensors
from nitido.models.model_file import ModelFileError

WRAPPERS = (
    "params_ema",
    "params",
    "state_dict",
    "model",
    "net_g",
    "netg",
    "generator",
    "gen",
    "g",
    "net",
    "network",
    "module",
    "weights",
)
"""Keys of weights in checkpoints and prefixes of weights' names, in lower case, in order of preference.

Averaged weights (`params_ema`) are preferred. `model_state_dict` and the like count as `model`.
"""

_INSERTED = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
_MOST_WRAPPINGS = 16


def unwrap(path: Path, content: object) -> dict[str, Tensor]:
    """Return the weights by name in the content of a checkpoint at `path`, in float32.

    Raises:
        ModelFileError: There is no dict, or it contains something else than ordinary tensors.
    """
    for _ in range(_MOST_WRAPPINGS):
        if not isinstance(content, Mapping):
            raise ModelFileError(
                f"{path}: contains a {type(content).__name__}, not a dict of weights by name (a state dict)"
            )
        inner = _inner(content)
        if inner is None:
            return ordinary_weights(path, content)
        content = inner
    raise ModelFileError(f"{path}: its weights are wrapped in more than {_MOST_WRAPPINGS} dicts")


def _inner(content: Mapping[object, object]) -> Mapping[object, object] | None:
    """Return the dict in a wrapper: under a known key, or the only one whose values are all weights."""
    parts = {_plain(str(key)): value for key, value in content.items() if isinstance(value, Mapping)}
    for wrapper in WRAPPERS:
        if wrapper in parts:
            return parts[wrapper]
    full = [part for part in parts.values() if part and all(isinstance(value, Tensor) for value in part.values())]
    return full[0] if len(full) == 1 else None


def _plain(key: str) -> str:
    """Return a key in lower case without the suffix `_state_dict` or `_state`.

    >>> [_plain(key) for key in ("model_state_dict", "state_dict", "netG", "net_g_state")]
    ['model', 'state_dict', 'netg', 'net_g']
    """
    lower = key.lower()
    return lower.removesuffix("_state_dict").removesuffix("_state") if lower != "state_dict" else lower


def ordinary_weights(path: Path, weights: Mapping[Any, object]) -> dict[str, Tensor]:
    """Return the weights in float32; raise `ModelFileError` if one is not an ordinary tensor, or they are too large."""
    budget = Budget(path)
    return {str(name): _ordinary(path, str(name), value, budget) for name, value in weights.items()}


def _ordinary(path: Path, name: str, value: object, budget: Budget) -> Tensor:
    if not isinstance(value, Tensor):
        raise ModelFileError(
            f"{path}: {name!r} is a {type(value).__name__}, not weights (a state dict, alone or under one of "
            f"{', '.join(WRAPPERS)}, is required)"
        )
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized or value.is_nested:
        raise ModelFileError(f"{path}: {name!r} is a sparse, quantized or empty tensor, not ordinary weights")
    budget.take(name, value.numel() * value.element_size())  # views of a small storage can be huge
    return as_float32(value.detach())


def unprefixed(tensors: Tensors) -> Iterator[Tensors]:
    """Yield `tensors`, then repeatedly the tensors without a prefix of their names.

    Prefixes are those that wrappers of modules insert (`_orig_mod.`), or one of `WRAPPERS` (`module.`, `net_g.`). If
    only some names have one, these are the generator's, for example next to a discriminator.
    """
    for _ in range(_MOST_WRAPPINGS):
        yield tensors
        short = {_without_inserted(name): tensor for name, tensor in tensors.items()}
        if len(short) == len(tensors) and short.keys() != tensors.keys():
            tensors = short
            continue
        first = _first_part(tensors)
        if first is None:
            return
        tensors = {name.removeprefix(first): tensor for name, tensor in tensors.items() if name.startswith(first)}


def _without_inserted(name: str) -> str:
    for inserted in _INSERTED:
        name = name.replace(inserted, "")
    return name


def _first_part(tensors: Tensors) -> str | None:
    """Return the prefix to remove from every name, including its dot; None if there is none."""
    known = {_plain(first): first for first, dot, _ in (name.partition(".") for name in tensors) if dot}
    return next((known[wrapper] + "." for wrapper in WRAPPERS if wrapper in known), None)
