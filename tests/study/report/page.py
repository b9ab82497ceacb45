"""A report's page with everything on it, for the tests and the measurement in a browser."""

from pathlib import Path

import numpy as np
from skimage import data

from nitido.study.report.costs import Cost
from nitido.study.report.curves import Curve
from nitido.study.report.html import Content, write_report
from nitido.study.report.runs import RunFacts
from nitido.study.report.slider import SelectedImage, crop_limit, make_view
from tests.study.report.boards import RATE, WINNER, board_of, rows_of

VARIANTS = [WINNER, "residual", "vanilla", "prelu", "leaky_relu", "gelu", "pixel_shuffle", "a_name_without_any_end" * 3]
SEEDS = 3


def views() -> list:
    """Three photographs by bicubic and eight variants, which differ in every pixel like real ones."""
    rng = np.random.default_rng(0)
    names = ["bicubic", *VARIANTS]
    side = crop_limit(len(names) + 1, 3)
    found = []
    for name in ("astronaut", "coffee", "chelsea"):
        hr = getattr(data, name)()
        images = {n: np.clip(hr + rng.normal(0, 2 + i, hr.shape), 0, 255).astype(np.uint8) for i, n in enumerate(names)}
        scores = {n: f"{40 - i:.2f} dB" for i, n in enumerate(names)}
        found.append(make_view(SelectedImage("samples", name, "where it shows"), hr, images, scores, side))
    return found


def whole_page(folder: Path) -> Path:
    """The page of a study of 8 variants × 3 seeds, one of them diverged, with everything on it."""
    scores = {name: 33.9 - i / 10 for i, name in enumerate(VARIANTS)} | {"bicubic": 32.49}
    rows = rows_of(scores, SEEDS)
    board = board_of(rows, broken={"gelu": "diverged"})
    facts = [
        RunFacts(name, RATE, seed, "finished", 2000, 75.0, 57_281, 33.4, f"runs/{name}", None, "a: 1", "layers\n" * 99)
        for name in VARIANTS
        for seed in range(SEEDS)
    ]
    points = tuple((step, 33 - 300 / step) for step in range(100, 2001, 50))
    content = Content(
        runs=facts,
        curves={"psnr_y": [Curve(name, RATE, seed, True, points) for name in VARIANTS for seed in range(SEEDS)]},
        rows=rows,
        costs={n: Cost(10**5 - 7000 * i, 10**9 * (i + 1), 10**7, 0.01 + i, 10**7) for i, n in enumerate(VARIANTS)},
        conditions="Measured here.",
        views=views(),
        setting=[("Training", "A sentence. " * 9)],
    )
    return write_report(folder, board, content)
