"""Bicubic on the classic test sets against the figures every paper prints."""

from pathlib import Path
from statistics import fmean

import pytest

from nitido.data import ImageSet, prepare
from nitido.evaluation.scoring import BicubicUpscaler, evaluate
from nitido.imaging import find_images

PUBLISHED = {
    ("set5", 2): 33.66,
    ("set5", 3): 30.39,
    ("set5", 4): 28.42,
    ("set14", 2): 30.24,
    ("set14", 3): 27.55,
    ("set14", 4): 26.00,
    ("bsd100", 2): 29.56,
    ("bsd100", 3): 27.21,
    ("bsd100", 4): 25.96,
}
COUNTS = {"set5": 5, "set14": 14, "bsd100": 100}


@pytest.fixture(scope="module", params=COUNTS)
def measured(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory):
    dataset = request.param
    images = ImageSet(dataset, tuple(find_images(shared / "data" / dataset)))
    store = prepare(images, [2, 3, 4], tmp_path_factory.mktemp("packs"))
    return dataset, {k: [s.metrics["psnr_y"] for s in evaluate(BicubicUpscaler(k), store, k)] for k in (2, 3, 4)}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_reads_as_published(measured, scale: int) -> None:
    dataset, scores = measured
    assert len(scores[scale]) == COUNTS[dataset]
    assert fmean(scores[scale]) == pytest.approx(PUBLISHED[dataset, scale], abs=0.02)
