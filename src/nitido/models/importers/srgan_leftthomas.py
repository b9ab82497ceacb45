"""SRGAN's generator in the state dicts of leftthomas/SRGAN: `block1` (first layers) … `block8` (upsampling, image).

All channels of a PReLU share one slope, a PReLU replaces the normalization after the blocks, and the output is
(tanh(x) + 1) / 2.
"""

from pathlib import Path

from nitido.models.importers.layer_matching import count
from nitido.models.importers.srresnet_family import SRResNetLayers, convert_srresnet
from nitido.models.importers.weight_layout import Choices, Converted, Layout, Tensors

EPSILON = 1e-5
"""PyTorch's default epsilon of batch normalization."""

_FIRST_BLOCK = 2
_COUNTER = ".num_batches_tracked"  # not used in eval mode, and missing in old files


def _recognizes(tensors: Tensors) -> bool:
    return {"block1.0.weight", "block1.1.weight", "block2.conv1.weight", "block2.prelu.weight"} <= tensors.keys()


def _convert(source: Path, tensors: Tensors, choices: Choices) -> Converted:
    blocks = count(tensors, "block{}.conv1.weight", _FIRST_BLOCK)
    body = [f"block{_FIRST_BLOCK + number}" for number in range(blocks)]
    end, upscale = f"block{_FIRST_BLOCK + blocks}", f"block{_FIRST_BLOCK + blocks + 1}"
    numbers = range(count(tensors, f"{upscale}.{{}}.conv.weight"))
    stages = [f"{upscale}.{number}.conv" for number in numbers]
    both = [(block, number) for block in body for number in (1, 2)]
    layers = SRResNetLayers(
        convolutions=[
            "block1.0",
            *(f"{block}.conv{number}" for block, number in both),
            f"{end}.0",
            *stages,
            f"{upscale}.{len(numbers)}",
        ],
        norms=[f"{block}.bn{number}" for block, number in both],
        slopes=[
            "block1.1",
            *(f"{block}.prelu" for block in body),
            f"{end}.1",
            *(f"{upscale}.{number}.prelu" for number in numbers),
        ],
        stages=stages,
    )
    weights = {name: tensor for name, tensor in tensors.items() if not name.endswith(_COUNTER)}
    return convert_srresnet(source, weights, choices, layers, EPSILON, "leftthomas/SRGAN's layout")


LAYOUT = Layout("leftthomas/SRGAN's generator: block1.0.weight … block8.2.bias", _recognizes, _convert)
