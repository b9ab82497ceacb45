"""EDSR in the state dicts of EDSR-PyTorch. The 1×1 convolutions `sub_mean` and `add_mean` contain the mean."""

import re
from pathlib import Path

import torch

from nitido.models.importers.edsr_family import EIGHT_BITS, EDSRNames, convert_edsr
from nitido.models.importers.weight_layout import Choices, Converted, Layout, Tensors
from nitido.models.model_file import ModelFileError, check_finite, check_layout

_NAMES = EDSRNames(
    required_by="EDSR-PyTorch's layout",
    head="head.0",
    block=("body.{}.body.0", "body.{}.body.2"),
    body_end="body.{}",
    stage="tail.0.{}",
    last="tail.1",
)
_NAME = re.compile(r"(head\.0|body\.\d+(\.body\.\d+)?|tail\.(0\.\d+|1)|(sub|add)_mean)\.(weight|bias)")
_SHIFT = {
    f"{sign}_mean.{kind}": shape
    for sign in ("sub", "add")
    for kind, shape in (("weight", (3, 3, 1, 1)), ("bias", (3,)))
}
_MEAN_DIGITS = 7  # significant digits of float32


def _recognizes(tensors: Tensors) -> bool:
    return {"head.0.weight", "body.0.body.0.weight"} <= tensors.keys() and all(map(_NAME.fullmatch, tensors))


def _convert(source: Path, tensors: Tensors, choices: Choices) -> Converted:
    shift = {name: tensor for name, tensor in tensors.items() if name in _SHIFT}
    rest = {name: tensor for name, tensor in tensors.items() if name not in _SHIFT}
    mean, white = _mean_and_white(source, shift)
    return convert_edsr(source, rest, choices, _NAMES, mean, white)


def _mean_and_white(source: Path, shift: Tensors) -> tuple[tuple[float, ...], float]:
    """Return the mean color in [0, 1] and the value of white; a mean above 1 implies 8-bit values."""
    check_layout(source, {name: torch.empty(shape) for name, shape in _SHIFT.items()}, shift, _NAMES.required_by)
    check_finite(source, shift)
    plain = all(torch.equal(shift[f"{sign}_mean.weight"][:, :, 0, 0], torch.eye(3)) for sign in ("sub", "add"))
    added = shift["add_mean.bias"]
    if not plain or not torch.allclose(shift["sub_mean.bias"], -added) or not bool((added > 0).all()):
        raise ModelFileError(
            f"{source}: its sub_mean and add_mean do more than subtract and add a color, which nitido does not support"
        )
    white = EIGHT_BITS if float(added.max()) > 1 else 1.0
    return tuple(round(value / white, _MEAN_DIGITS) for value in added.tolist()), white


LAYOUT = Layout("EDSR-PyTorch's EDSR: head.0.weight … tail.1.bias", _recognizes, _convert, open_residual_scale=True)
