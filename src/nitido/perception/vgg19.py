"""VGG19 (Simonyan and Zisserman, ICLR 2015), the backbone of SRGAN's and ESRGAN's perceptual losses.

Layer names are those of the literature: `conv5_4` is the fourth convolution of the fifth block, before its activation
(ESRGAN); `relu5_4` is the same after it (SRGAN's VGG54).
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
"""torchvision's ImageNet weights (575 MB, because the file includes the classifier)."""

# Statistics of ImageNet's training images; torchvision's networks were trained on images normalized with them.
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
"""Number of image pixels per pixel of every layer, shallow to deep."""


def vgg19(layers: Collection[str], weights: WeightsFile = WEIGHTS) -> Backbone:
    """Return the backbone with ImageNet weights, which are downloaded at first use.

    Raises:
        PerceptionError: The weights are missing and cannot be downloaded.
    """
    steps = _steps()
    _load(steps, locate(weights))
    return Backbone(steps, STRIDES, layers, IMAGENET_MEAN, IMAGENET_STD)


def _steps() -> dict[str, nn.Module]:
    """Return the network without weights, on the meta device, so that no random numbers are drawn."""
    steps: dict[str, nn.Module] = {}
    before = 3
    with torch.device("meta"):
        for block, (count, channels) in enumerate(_BLOCKS, start=1):
            for index in range(1, count + 1):
                convolution = nn.Conv2d(before, channels, kernel_size=3, padding=1)
                pooled = block > 1 and index == 1
                steps[f"conv{block}_{index}"] = nn.Sequential(nn.MaxPool2d(2), convolution) if pooled else convolution
                # Not in place, because the convolution's output before the activation may be requested too.
                steps[f"relu{block}_{index}"] = nn.ReLU()
                before = channels
    return steps


def _load(steps: dict[str, nn.Module], file: Path) -> None:
    """Load the convolutions from torchvision's file, whose layer numbers include pools and ReLUs."""
    state = torch.load(file, map_location="cpu", weights_only=True)
    position = 0
    for step in steps.values():
        for module in step if isinstance(step, nn.Sequential) else [step]:
            if isinstance(module, nn.Conv2d):
                values = {name: state[f"features.{position}.{name}"] for name in ("weight", "bias")}
                module.load_state_dict(values, assign=True)
            position += 1
