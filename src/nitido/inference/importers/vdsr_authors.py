"""The weights that VDSR's authors published, as an .npz of 20 convolutions in OIHW order.

One set of weights serves every scale, because the network sees the bicubically enlarged picture.
"""

import re
from pathlib import Path

from torch import nn

from nitido.architectures import resolve_config
from nitido.inference.importers.layout import Converted, Layout, Tensors
from nitido.inference.model_file import ModelFileError, build_blank, check_finite, check_layout

_NAME = re.compile(r"conv[1-9]\d*\.(weight|bias)")


def _recognises(tensors: Tensors) -> bool:
    return bool(tensors) and all(_NAME.fullmatch(name) for name in tensors)


def _convert(source: Path, tensors: Tensors, scale: int | None) -> Converted:
    if scale is None:
        raise ModelFileError(f"{source}: the VDSR authors' weights serve ×2, ×3 and ×4: say which with --scale")
    network = build_blank("vdsr", resolve_config("vdsr", "vdsr", {"scale": scale}))
    convolutions = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    foreign = {
        f"{name}.{kind}": f"conv{number}.{kind}"
        for number, name in enumerate(convolutions, start=1)
        for kind in ("weight", "bias")
    }
    expected = {foreign[name]: weights for name, weights in network.state_dict().items()}
    check_layout(source, expected, tensors, "the VDSR authors' layout")
    check_finite(source, tensors)
    network.load_state_dict({name: tensors[foreign[name]] for name in foreign})
    return Converted("vdsr", network)


LAYOUT = Layout("VDSR authors' .npz: conv1.weight … conv20.bias", _recognises, _convert)
