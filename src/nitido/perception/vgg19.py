"""VGG19 (Simonyan and Zisserman, ICLR 2015), the backbone of SRGAN's and ESRGAN's perceptual losses.

Layers have the names of the literature: `conv5_4` is the fourth convolution of the fifth block, before its activation
(ESRGAN), `relu5_4` the same after it (SRGAN's VGG54).
"""

from collections.abc import Collection
from pathlib import Path

import torch
from torch import nn

from nitido.perception.backbone import Backbone
from nitido.perception.weights import WeightsFile, locate

WEIGHTS = WeightsFile(
    owner="vgg19",
    url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
)
"""torchvision's ImageNet weights (575 MB: the file holds the classifier too)."""

# Of ImageNet's training pictures; torchvision's networks were trained on pictures normalised with them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Per block: its number of convolutions and their channels. Blocks 2 to 5 begin with a 2×2 max-pool.
_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))

STRIDES = {
    f"{kind}{block}_{index}": 2 ** (block - 1)
    for block, (count, _) in enumerate(_BLOCKS, start=1)
    for index in range(1, count + 1)
    for kind in ("conv", "relu")
}
"""Every layer, shallow to deep, and how many pixels of the picture one of its pixels stands for."""


def vgg19(layers: Collection[str], weights: WeightsFile = WEIGHTS) -> Backbone:
    """The backbone with ImageNet weights, which are downloaded at the first use.

    Raises `PerceptionError` when the weights are not there and cannot be fetched.
    """
    steps = _steps()
    _load(steps, locate(weights))
    return Backbone(steps, STRIDES, layers, IMAGENET_MEAN, IMAGENET_STD)


def _steps() -> dict[str, nn.Module]:
    """The network without weights: on the meta device, so nothing is drawn from anybody's random numbers."""
    steps: dict[str, nn.Module] = {}
    before = 3
    with torch.device("meta"):
        for block, (count, channels) in enumerate(_BLOCKS, start=1):
            for index in range(1, count + 1):
                convolution = nn.Conv2d(before, channels, kernel_size=3, padding=1)
                pooled = block > 1 and index == 1
                steps[f"conv{block}_{index}"] = nn.Sequential(nn.MaxPool2d(2), convolution) if pooled else convolution
                # Not in place: whoever asked for the convolution wants it as it was before the activation.
                steps[f"relu{block}_{index}"] = nn.ReLU()
                before = channels
    return steps


def _load(steps: dict[str, nn.Module], file: Path) -> None:
    """Fill the convolutions from torchvision's file, which counts the layers of `features` with pools and ReLUs."""
    state = torch.load(file, map_location="cpu", weights_only=True)
    position = 0
    for step in steps.values():
        for module in step if isinstance(step, nn.Sequential) else [step]:
            if isinstance(module, nn.Conv2d):
                values = {name: state[f"features.{position}.{name}"] for name in ("weight", "bias")}
                module.load_state_dict(values, assign=True)
            position += 1
