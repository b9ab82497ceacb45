"""From a network to scores: color, Y-only, grey, and the state the network is left in."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nitido.architectures import build, resolve_config
from nitido.data import ImageSet, Store, prepare
from nitido.evaluation import PROTOCOL, MetricError, psnr_y, ssim_y
from nitido.evaluation.model_comparison import compare_on, evaluate_models, means
from nitido.evaluation.scoring import BicubicUpscaler, NetworkUpscaler, UpscaledImage, evaluate
from nitido.imaging import bicubic_downscale, bicubic_upscale


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    from skimage import data

    folder = tmp_path_factory.mktemp("images")
    Image.fromarray(data.chelsea()[100:181, 100:201]).save(folder / "color.png")
    Image.fromarray(data.camera()[100:180, 100:200]).save(folder / "grey.png")
    paths = (folder / "color.png", folder / "grey.png")
    return prepare(ImageSet("two", paths), [2], tmp_path_factory.mktemp("packs"))


class Perfect:
    """Knows the answer."""

    def __init__(self, store: Store) -> None:
        self.answers = [store.hr_cropped(i, 2) for i in range(len(store))]

    def __call__(self, lr: np.ndarray, *, grey: bool) -> UpscaledImage:
        from nitido.evaluation.metrics import luma

        answer = self.answers[1 if grey else 0]
        return UpscaledImage(answer, luma(answer[..., 0] if grey else answer))


def zero_residual_network(channels: int) -> torch.nn.Module:
    """A residual SRCNN whose convolutions add nothing: exactly the float bicubic."""
    network = build("srcnn", resolve_config("srcnn", "residual", {"channels": channels}))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    return network


def test_bicubic_scores_are_those_of_the_metrics_on_matlab_bicubic(store: Store) -> None:
    scores = list(evaluate(BicubicUpscaler(2), store, 2))
    assert [s.image for s in scores] == ["color", "grey"]
    hr = store.hr_cropped(0, 2)
    upscaled = bicubic_upscale(bicubic_downscale(hr, 2), 2)
    assert scores[0].metrics["psnr_y"] == psnr_y(upscaled, hr, 2)
    assert scores[0].metrics["ssim_y"] == ssim_y(upscaled, hr, 2)
    grey = store.hr_cropped(1, 2)[..., 0]
    assert scores[1].metrics["psnr_y"] == psnr_y(bicubic_upscale(bicubic_downscale(grey, 2), 2), grey, 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_that_adds_nothing_scores_as_bicubic(store: Store, channels: int) -> None:
    scores = list(evaluate(NetworkUpscaler(zero_residual_network(channels)), store, 2))
    for found, bicubic in zip(scores, evaluate(BicubicUpscaler(2), store, 2), strict=True):
        assert found.metrics["psnr_y"] == pytest.approx(bicubic.metrics["psnr_y"], abs=0.05)
        assert found.metrics["ssim_y"] == pytest.approx(bicubic.metrics["ssim_y"], abs=0.002)


def test_a_y_network_is_scored_on_its_rounded_y_and_keeps_bicubic_color(store: Store) -> None:
    upscaled = NetworkUpscaler(zero_residual_network(1))(store.lr(0, 2), grey=False)
    np.testing.assert_array_equal(upscaled.y, np.rint(upscaled.y))
    bicubic = BicubicUpscaler(2)(store.lr(0, 2), grey=False)
    assert np.abs(upscaled.rgb.astype(int) - bicubic.rgb).max() <= 2


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grey_image_is_its_own_y(store: Store, channels: int) -> None:
    upscaled = NetworkUpscaler(zero_residual_network(channels))(store.lr(1, 2), grey=True)
    assert np.abs(upscaled.y - upscaled.rgb[..., 0]).max() <= 1


def test_the_networks_mode_is_left_as_it_was(store: Store) -> None:
    network = zero_residual_network(3).train()
    NetworkUpscaler(network)(store.lr(0, 2), grey=False)
    assert network.training


def test_a_network_runs_with_its_channels_last_in_memory(store: Store) -> None:
    network = build("edsr", resolve_config("edsr", "debug", {}))
    fast = []
    for module in (network.head, network.body_end, network.reconstruction):
        module.register_forward_hook(
            lambda _, __, features: fast.append(features.is_contiguous(memory_format=torch.channels_last))
        )
    NetworkUpscaler(network)(store.lr(0, 2), grey=False)
    assert fast == [True, True, True]


def test_rows_name_the_protocol_and_means_are_over_images(store: Store) -> None:
    rows = evaluate_models({"bicubic": BicubicUpscaler(2)}, {"two": store}, 2)
    assert len(rows) == 2 * 3
    assert {row["protocol"] for row in rows} == {PROTOCOL}
    psnrs = [row["value"] for row in rows if row["metric"] == "psnr_y"]
    (mean,) = [m["value"] for m in means(rows, {"two": 2}) if m["metric"] == "psnr_y"]
    assert mean == pytest.approx(sum(psnrs) / 2)


def test_an_image_too_small_to_score_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (12, 40)).save(tmp_path / "sliver.png")
    store = prepare(ImageSet("few", (tmp_path / "sliver.png",)), [2], tmp_path)
    with pytest.raises(MetricError, match="sliver of few: an image of 12×40 is too small"):
        list(evaluate(BicubicUpscaler(2), store, 2))


def test_comparison_ranks_the_better_model_first(store: Store, tmp_path: Path) -> None:
    ranked = compare_on(store, 0, {"bicubic": BicubicUpscaler(2), "perfect": Perfect(store)}, 2)
    assert [c.model for c in ranked] == ["perfect", "bicubic"]
    assert ranked[1].psnr_y < 60 < ranked[0].psnr_y
