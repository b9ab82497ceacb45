"""What people wrap state dicts in, taken off."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from nitido.inference.model_file import ModelFileError

WRAPPERS = ("params_ema", "params", "state_dict", "model")
"""Keys under which checkpoints keep their weights, the preferred first: averaged weights (`params_ema`) are better."""

_PARALLEL = "module."
_NARROW = (torch.float16, torch.bfloat16)


def unwrap(path: Path, content: object) -> dict[str, Tensor]:
    """The weights by name out of what a checkpoint of `path` holds; half precision is widened, which is exact.

    Raises `ModelFileError` when there is no dict, or something in it is no ordinary tensor.
    """
    while isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            return tidy(path, content)
        content = inner
    raise ModelFileError(f"{path}: holds a {type(content).__name__}, not a dict of weights by name (a state dict)")


def tidy(path: Path, weights: Mapping[object, object]) -> dict[str, Tensor]:
    """The same weights without the `module.` that `DataParallel` puts before every name."""
    tensors = {str(name): _ordinary(path, str(name), value) for name, value in weights.items()}
    while tensors and all(name.startswith(_PARALLEL) for name in tensors):
        tensors = {name.removeprefix(_PARALLEL): tensor for name, tensor in tensors.items()}
    return tensors


def _ordinary(path: Path, name: str, value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise ModelFileError(
            f"{path}: {name!r} is a {type(value).__name__}, not weights (a state dict, alone or under one of "
            f"{', '.join(WRAPPERS)}, is needed)"
        )
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        raise ModelFileError(f"{path}: {name!r} is a sparse, quantised or empty tensor, not ordinary weights")
    return value.detach().float() if value.dtype in _NARROW else value.detach()
