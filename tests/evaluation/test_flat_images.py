"""Flat, black and tiny images: every number that counts is finite, from the metric to the mean and the JSON."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nitido.architectures import build, resolve_config
from nitido.data import ImageSet, Store, prepare
from nitido.evaluation.metrics import FIDELITY_METRICS, METRICS, MetricError, MetricInput, luma
from nitido.evaluation.model_comparison import compare_on, evaluate_models, means
from nitido.evaluation.protocol import PSNR_CAP
from nitido.evaluation.scoring import (
    BicubicUpscaler,
    NetworkUpscaler,
    NonFiniteOutputError,
    evaluate,
    require_measurable,
    score,
)
from nitido.upscaling.upscaler import ImageUpscaler

IN_DECIBELS = ("psnr_y", "psnr_rgb", "lr_consistency")


def given(sr: np.ndarray, hr: np.ndarray, grey: bool = False, scale: int = 2) -> MetricInput:
    lr = np.full((hr.shape[0] // scale, hr.shape[1] // scale, 3), hr[0, 0], np.uint8)
    return MetricInput(sr, luma(sr[..., 0] if grey else sr), hr, lr, scale, grey)


def images(folder: Path, **levels: int) -> Store:
    folder.mkdir(exist_ok=True)
    for name, level in levels.items():
        Image.new("RGB", (64, 48), (level,) * 3).save(folder / f"{name}.png")
    paths = tuple(folder / f"{name}.png" for name in levels)
    return prepare(ImageSet("flat", paths), [2], folder / "packs")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("side", [30, 64, 200])
@pytest.mark.parametrize("level", [0, 7, 128, 255])
@pytest.mark.parametrize("other", [0, 7, 128, 255])
def test_every_metric_of_flat_images_is_finite(level: int, other: int, side: int, grey: bool) -> None:
    hr, sr = (np.full((side, side, 3), value, np.uint8) for value in (level, other))
    values = score(given(sr, hr, grey), list(METRICS))
    assert {"psnr_y", "ssim_y", "psnr_rgb", "lr_consistency"} <= values.keys()
    assert all(map(math.isfinite, values.values())), values
    if level == other:
        assert [values[name] for name in IN_DECIBELS] == [PSNR_CAP] * 3
        assert values["ssim_y"] == pytest.approx(1.0)


def test_an_image_that_differs_never_counts_more_than_a_perfect_one() -> None:
    """One pixel of a large image, off by one level in blue, has a PSNR of more than 100 dB."""
    hr = np.full((1200, 1200, 3), 100, np.uint8)
    sr = hr.copy()
    sr[600, 600, 2] += 1
    nearly, perfect = (score(given(image, hr), ["psnr_y"])["psnr_y"] for image in (sr, hr))
    assert METRICS["psnr_y"].measure(given(sr, hr)) > PSNR_CAP
    assert nearly == perfect == PSNR_CAP


def test_ordinary_values_are_untouched_by_the_cap() -> None:
    hr = np.random.default_rng(0).integers(0, 250, (64, 64, 3)).astype(np.uint8)
    found = score(given(hr + np.uint8(5), hr), ["psnr_rgb"])["psnr_rgb"]
    assert found == pytest.approx(10 * math.log10(255**2 / 25), abs=1e-9)


def test_rows_means_and_comparisons_of_black_images_are_finite_and_strict_json(tmp_path: Path) -> None:
    store = images(tmp_path / "flat", black=0, white=255)
    rows = evaluate_models({"bicubic": BicubicUpscaler(2)}, {"flat": store}, 2, list(METRICS))
    averages = means(rows, {"flat": len(store)})
    json.dumps({"rows": rows, "means": averages}, allow_nan=False)
    assert {row["value"] for row in averages if row["metric"] in IN_DECIBELS} == {PSNR_CAP}
    (only,) = compare_on(store, 0, {"bicubic": BicubicUpscaler(2)}, 2)
    assert only.psnr_y == PSNR_CAP


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_network_whose_output_is_not_finite_has_no_score(tmp_path: Path, value: float) -> None:
    network = build("srcnn", resolve_config("srcnn", "debug", {}))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    with pytest.raises(NonFiniteOutputError, match="black of flat: the network's output has values that are no finite"):
        list(evaluate(NetworkUpscaler(network), images(tmp_path / "flat", black=0), 2))


def test_images_too_small_for_what_is_asked_are_found_before_measuring(tmp_path: Path) -> None:
    store = images(tmp_path / "flat", black=0, white=255)
    require_measurable(store, 2)
    with pytest.raises(MetricError, match="black of flat: an image of 64×48 is too small to compare: MS-SSIM on Y"):
        require_measurable(store, 2, ["psnr_y", "ms_ssim_y"])
    with pytest.raises(MetricError, match="an image of 14×14 is too small to compare: SSIM on Y at ×2 needs 15"):
        require_measurable(store, 2, side=15)


def test_a_flat_result_of_an_image_that_is_not_flat_is_named(tmp_path: Path, capsys) -> None:
    network = build("srcnn", resolve_config("srcnn", "debug", {"residual": False}))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    store = images(tmp_path / "dead", black=9)
    list(evaluate(NetworkUpscaler(network), store, 2))
    assert "flat color" not in capsys.readouterr().err
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    store = prepare(ImageSet("dead", (tmp_path / "noise.png",)), [2], tmp_path / "packs")
    list(evaluate(NetworkUpscaler(network), store, 2))
    message = capsys.readouterr().err
    assert message == "note: noise of dead: the enlarged image is one flat color, its source is not\n"
    told_of_upscaling: list[str] = []
    ImageUpscaler(network).upscale(noise, None, 96, 128, note=told_of_upscaling.append)
    assert told_of_upscaling == ["the network's output is a single flat color, but the input is not"]


def test_images_too_large_for_a_metric_are_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = images(tmp_path / "flat", black=0)
    require_measurable(store, 2, list(FIDELITY_METRICS))
    for name in ("ms_ssim_y", "flip", "ssimulacra2", "perceptual_distance", "lpips", "dists"):
        assert METRICS[name].too_large(8000, 12000)
        assert METRICS[name].too_large(2000, 3000) is None
        small = replace(METRICS[name], largest=64 * 48 - 1)
        monkeypatch.setattr("nitido.evaluation.scoring.metric", lambda _, small=small: small)
        with pytest.raises(MetricError, match=r"black of flat: an image of 64×48 is too large for .* at most 0"):
            require_measurable(store, 2, [name])
        black = np.zeros((48, 64, 3), np.uint8)
        assert score(given(black, black), [name]) == {}


@pytest.mark.parametrize("name", [name for name, kind in METRICS.items() if kind.missing() is None])
def test_the_smallest_size_of_a_metric_is_the_smallest_that_it_measures(name: str) -> None:
    needed = METRICS[name].smallest + 4
    noise = np.random.default_rng(0).integers(0, 256, (needed + 1, needed + 1, 3)).astype(np.uint8)
    side = needed + needed % 2
    assert name in score(given(noise[:side, :side], noise[:side, :side]), [name])
    if METRICS[name].smallest > 1:
        below = needed - 1 - (needed - 1) % 2
        with pytest.raises(MetricError):
            METRICS[name].measure(given(noise[:below, :below], noise[:below, :below]))
