"""What holds for every metric of the registry, measured on a photograph; and metrics that are not available here."""

import math
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from nitido.evaluation.metrics import (
    FIDELITY_METRICS,
    METRICS,
    Metric,
    MetricError,
    MetricInput,
    MetricNotAvailableError,
    learned,
    luma,
    metric,
    psnr_y,
)
from nitido.evaluation.metrics.requirement import Requirement
from nitido.evaluation.objectives import SELECTION_METRICS
from nitido.imaging import bicubic_downscale

SCALE = 2
HR = data.astronaut()[60:260, 100:300]

NEEDS_DOWNLOADED_WEIGHTS = {"lpips", "dists"}
HERE = [kind for kind in METRICS.values() if kind.name not in NEEDS_DOWNLOADED_WEIGHTS]

every = pytest.mark.parametrize("kind", HERE, ids=[kind.name for kind in HERE])


def measured(sr: np.ndarray, hr: np.ndarray = HR, grey: bool = False) -> MetricInput:
    return MetricInput(sr, luma(sr[..., 0] if grey else sr), hr, bicubic_downscale(hr, SCALE), SCALE, grey)


def noisy(sigma: float) -> np.ndarray:
    return np.clip(HR + np.random.default_rng(0).normal(0, sigma, HR.shape), 0, 255).round().astype(np.uint8)


@every
def test_the_truth_is_best(kind: Metric) -> None:
    best = {"psnr_y": math.inf, "psnr_rgb": math.inf, "lr_consistency": math.inf, "ssimulacra2": 100.0}
    expected = best.get(kind.name, 1.0 if kind.higher_is_better else 0.0)
    assert kind.measure(measured(HR)) == pytest.approx(expected, abs=1e-6)


@every
def test_more_noise_is_worse(kind: Metric) -> None:
    values = [kind.measure(measured(noisy(sigma))) for sigma in (3, 10, 30, 60)]
    assert values == sorted(values, reverse=kind.higher_is_better)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("kind", [kind for kind in HERE if kind.name != "lr_consistency"], ids=lambda kind: kind.name)
def test_the_border_of_the_scale_does_not_count(kind: Metric) -> None:
    framed = HR.copy()
    framed[:SCALE] = framed[:, -SCALE:] = 0
    assert kind.measure(measured(framed)) == pytest.approx(kind.measure(measured(HR)), abs=1e-6)


def test_a_grey_image_is_its_own_luma() -> None:
    hr, sr = (np.repeat(image[..., :1], 3, axis=2) for image in (HR, noisy(10)))
    assert METRICS["psnr_y"].measure(measured(sr, hr, grey=True)) == psnr_y(sr[..., 0], hr[..., 0], SCALE)


def test_the_names_are_those_of_the_rows() -> None:
    assert set(FIDELITY_METRICS) < set(METRICS)
    for selection_metric in SELECTION_METRICS.values():
        found = METRICS[selection_metric.metric]
        assert (found.label, found.higher_is_better, found.decimals) == (
            selection_metric.title,
            selection_metric.higher_is_better,
            selection_metric.decimals,
        )


def test_an_unknown_metric_suggests_the_nearest() -> None:
    with pytest.raises(MetricError, match="unknown metric 'ssim': did you mean 'ssim_y'"):
        metric("ssim")


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_without_weights_nothing_is_downloaded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    learned._lpips_network.cache_clear()
    learned._dists_network.cache_clear()
    with pytest.raises(MetricNotAvailableError) as caught:
        METRICS[name].measure(measured(HR))
    assert str(caught.value) == f"{name} is not available: {METRICS[name].missing()}"
    assert list(tmp_path.rglob("*.pth*")) == []


def test_missing_requirements_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert Requirement(("No_Such",)).missing() == "the package no-such is not installed (pip install no-such)"
    url = "https://example.org/net-9f86d081.pth"
    file = tmp_path / "hub/checkpoints/net-9f86d081.pth"
    there = Requirement(("numpy",), url)
    assert there.missing() == f"its weights are not in {file.parent}: put {url} there"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"other")
    assert there.missing() == f"{file} is damaged: its SHA-256 does not begin with 9f86d081"
    file.write_bytes(b"test")
    assert there.missing() is None
