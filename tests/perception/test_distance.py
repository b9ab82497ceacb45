"""The distances against their formulas, their gradients, and their options."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nitido.base.validation import ConfigError
from nitido.perception import PerceptionError, PerceptualDistance, PerceptualOptions, build_backbone

LAYERS = ("stage1", "stage3")


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    hr = torch.rand(2, 3, 32, 40, generator=generator)
    return (hr + 0.1 * torch.randn(hr.shape, generator=generator)).clamp(0, 1), hr


@pytest.fixture(scope="module")
def features(pair: tuple[Tensor, Tensor]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    backbone = build_backbone("efficientnet_lite0", LAYERS)
    with torch.no_grad():
        sr, hr = backbone(pair[0]), backbone(pair[1])
    return {layer: (sr[layer].double().numpy(), hr[layer].double().numpy()) for layer in LAYERS}


def _distance(**options: Any) -> PerceptualDistance:
    return PerceptualDistance(PerceptualOptions.parse(options, "perceptual"))


def test_plain_is_the_weighted_sum_of_mean_squares(pair: Any, features: Any) -> None:
    expected = sum(
        weight * (((a - b) / 12.75) ** 2).mean(axis=(1, 2, 3))
        for weight, (a, b) in zip((0.5, 2), features.values(), strict=True)
    )
    distance = _distance(layers=LAYERS, weights=(0.5, 2), feature_scale=12.75)
    np.testing.assert_allclose(distance.per_image(*pair), expected, rtol=1e-4)
    assert distance(*pair).item() == pytest.approx(expected.mean(), rel=1e-4)


def test_normalized_is_the_mean_of_unit_vectors_squared_distances(pair: Any, features: Any) -> None:
    def term(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        cosine = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
        return (2 - 2 * cosine).mean(axis=(1, 2))

    first, second = (term(*both) for both in features.values())
    np.testing.assert_allclose(
        _distance(layers=LAYERS, normalised=True).per_image(*pair), (first + second) / 2, rtol=1e-4
    )
    weighted = _distance(layers=LAYERS, normalised=True, weights=(1, 3)).per_image(*pair)
    np.testing.assert_allclose(weighted, (first + 3 * second) / 4, rtol=1e-4)


@pytest.mark.parametrize("normalised", [False, True])
def test_only_sr_receives_gradients(pair: tuple[Tensor, Tensor], normalised: bool) -> None:
    distance = _distance(layers="stage3", normalised=normalised)
    sr, hr = (images.clone().requires_grad_() for images in pair)
    before = distance(sr, hr)
    before.backward()
    assert hr.grad is None
    assert all(parameter.grad is None for parameter in distance._backbone.parameters())
    assert sr.grad is not None
    # Along the gradient the distance changes as the gradient says.
    step = 1e-3 / sr.grad.norm()
    with torch.no_grad():
        change = distance(sr + step * sr.grad, hr) - distance(sr - step * sr.grad, hr)
    assert change.item() == pytest.approx((2 * step * sr.grad.square().sum()).item(), rel=0.05)


@pytest.mark.parametrize("normalised", [False, True])
def test_gradients_of_flat_images_are_finite(normalised: bool) -> None:
    black = torch.zeros(1, 3, 32, 32, requires_grad=True)
    distance = _distance(layers=("stem", "stage5"), normalised=normalised)  # the stem ends in a ReLU, hence zeros
    (distance(black, torch.zeros_like(black)) + distance(black, torch.ones_like(black))).backward()
    assert black.grad is not None
    assert black.grad.isfinite().all()


def test_grey_is_repeated(pair: tuple[Tensor, Tensor]) -> None:
    distance = _distance(layers="stage2")
    sr, hr = (images[:, :1] for images in pair)
    torch.testing.assert_close(distance(sr, hr), distance(sr.repeat(1, 3, 1, 1), hr.repeat(1, 3, 1, 1)))


def test_under_autocast_the_result_is_float32(pair: tuple[Tensor, Tensor]) -> None:
    distance = _distance(layers="stage2")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = distance(*pair)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(distance(*pair).item(), rel=0.05)


def test_a_model_does_not_store_its_perceptual_distance() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.distance = _distance(layers="stem")

    model = Model()
    assert not model.state_dict()
    assert not list(model.parameters())


def test_the_distance_can_be_moved_to_a_device() -> None:
    distance = _distance(layers="stem")
    assert distance.to("meta") is distance
    images = torch.zeros(2, 3, 8, 8, device="meta")
    assert distance.per_image(images, images).device.type == "meta"


def test_images_that_cannot_be_compared() -> None:
    distance = _distance(layers="stage5")
    with pytest.raises(PerceptionError, match=r"\(1, 3, 16, 16\) and \(1, 3, 16, 17\)"):
        distance(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 17))
    with pytest.raises(PerceptionError, match=r"not \(1, 2, 16, 16\)"):
        distance(torch.zeros(1, 2, 16, 16), torch.zeros(1, 2, 16, 16))
    with pytest.raises(PerceptionError, match="15×16 pixels are too small for layer 'stage5'"):
        distance(torch.zeros(1, 3, 15, 16), torch.zeros(1, 3, 15, 16))


def test_options_write_out_their_layers() -> None:
    assert PerceptualOptions().backbone == "efficientnet_lite0"
    for normalised in (False, True):
        options = PerceptualOptions(normalised=normalised)
        assert options.layers
        assert PerceptualOptions.model_validate(options.model_dump()) == options
    assert PerceptualOptions.parse({"backbone": "vgg19", "layers": ["relu5_4"]}, "here").layers == ("relu5_4",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "vgg91"}, "unknown backbone 'vgg91': did you mean 'vgg19'"),
        ({"backbone": "vgg19", "layers": "relu54"}, "unknown layer of vgg19 'relu54': did you mean 'relu5_4'"),
        ({"layers": ["relu5_4"]}, "unknown layer of efficientnet_lite0 'relu5_4'"),
        ({"layers": ["stage1", "stage1"]}, "named twice"),
        ({"layers": ["stage1"], "weights": [1, 2]}, "2 weights for 1 layers"),
        ({"weights": [0]}, "greater than 0"),
        ({"normalised": True, "feature_scale": 12.75}, "no effect"),
        ({"layer": "stage1"}, "did you mean 'layers'"),
    ],
)
def test_wrong_options_give_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        PerceptualOptions.parse(options, "loss.perceptual")
    assert str(caught.value).startswith("loss.perceptual: ")
    assert "\n" not in str(caught.value)
