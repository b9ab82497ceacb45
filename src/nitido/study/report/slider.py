"""Select test images for the viewer of the page and encode the same crop of every model losslessly."""

import io
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from nitido.study.leaderboard import RANKED_BY, Leaderboard
from nitido.study.report import BICUBIC, GROUND_TRUTH
from nitido.study.report.comparison import error_limit, error_maps
from nitido.study.report.crop import Box, choose_box

Pixels = NDArray[np.uint8]

BYTES = 9_000_000
"""Approximate number of bytes of all crops in the page."""
_BYTES_PER_PIXEL = 2.2  # a lossless WebP of a photograph, in base64
_SIDES = (160, 512)


@dataclass(frozen=True)
class SelectedImage:
    """A test image for the viewer, and why it was selected."""

    dataset: str
    image: str
    why: str


@dataclass(frozen=True)
class View:
    """One image in the viewer: `images` maps "HR", bicubic and the variants to `data:` URLs of the same crop."""

    dataset: str
    image: str
    why: str
    box: Box
    images: Mapping[str, str]
    scores: Mapping[str, str]
    error_limit: float
    left: str
    right: str


def select_images(rows: pl.DataFrame, board: Leaderboard, count: int = 3) -> list[SelectedImage]:
    """Return up to `count` test images: largest and smallest gain of the best variant over its rival, and over bicubic.

    The rival is the baseline, or the second best variant if the baseline is the best. Images without a value of one of
    the two are not selected. An image that was selected already is passed over, and `why` says so ("second largest").
    """
    trained = [e for e in board.entries if e.learning_rate is not None and e.score is not None]
    if not trained:
        return []
    best, *others = trained
    rival = next((e for e in others if e.variant == board.baseline), None) or next(iter(others), None)
    values = _by_image(rows, board)
    over_bicubic = pl.col(best.variant) - pl.col(BICUBIC)
    wanted = [(over_bicubic, True, BICUBIC)]
    if rival is not None:
        gain = pl.col(best.variant) - pl.col(rival.variant)
        wanted = [(gain, True, rival.variant), (gain, False, rival.variant), *wanted]
    found: dict[tuple[str, str], SelectedImage] = {}
    for key, largest, other in wanted:
        if not set(key.meta.root_names()) <= set(values.columns):
            continue
        order = values.filter(key.is_finite()).sort(key, "dataset", "image", descending=[largest, False, False])
        passed = Counter[bool]()
        for dataset, image, value in order.select("dataset", "image", key.alias("gain")).iter_rows():
            if (dataset, image) not in found:
                change = _change(value, largest, passed[value < 0])
                why = f"{change} of {best.variant} {'over' if value >= 0 else 'against'} {other}"
                found[dataset, image] = SelectedImage(dataset, image, why)
                break
            passed[value < 0] += 1
    return list(found.values())[:count]


def _change(gain: float, largest: bool, passed: int) -> str:
    """Name the place of a gain or loss after `passed` others of its sign: `largest` says that gains descend.

    >>> _change(0.5, True, 0), _change(0.2, True, 1), _change(-0.3, True, 0), _change(-2.0, False, 0)
    ('largest gain', 'second largest gain', 'smallest loss', 'largest loss')
    """
    ordinal = ("", "second ", "third ")[passed]
    return f"{ordinal}{'largest' if largest == (gain >= 0) else 'smallest'} {'gain' if gain >= 0 else 'loss'}"


def _by_image(rows: pl.DataFrame, board: Leaderboard) -> pl.DataFrame:
    rates = {e.variant: e.learning_rate for e in board.entries}
    tested = rows.filter((pl.col("split") == "test") & (pl.col("metric") == RANKED_BY))
    chosen = pl.any_horizontal(
        [(pl.col("variant") == v) & pl.col("lr").eq_missing(pl.lit(r, pl.Float64)) for v, r in rates.items()]
    )
    means = tested.filter(chosen).group_by("dataset", "image", "variant").agg(pl.col("value").mean())
    return means.pivot("variant", index=["dataset", "image"], values="value").sort("dataset", "image")


def crop_limit(models: int, images: int) -> int:
    """Return the largest side of a crop that keeps the page small.

    >>> crop_limit(10, 3), crop_limit(3, 1), crop_limit(100, 3)
    (369, 512, 160)
    """
    side = int((BYTES / (_BYTES_PER_PIXEL * max(models * images, 1))) ** 0.5)
    return min(max(side, _SIDES[0]), _SIDES[1])


def make_view(
    selected: SelectedImage, hr: Pixels, images: Mapping[str, Pixels], scores: Mapping[str, str], side: int
) -> View:
    """Return the view of one image: the whole image, or the `side` x `side` window in which the models differ most.

    `images` are bicubic's and the variants' results in the order of the leaderboard, `(H, W, 3)` uint8 like `hr`.
    """
    box = _box(hr, list(images.values()), side)
    everything = {GROUND_TRUTH: hr} | {name: image for name, image in images.items() if name != GROUND_TRUTH}
    limit = error_limit(error_maps(list(everything.values()), hr, box))
    best = next((name for name in images if name != BICUBIC), BICUBIC)
    return View(
        dataset=selected.dataset,
        image=selected.image,
        why=selected.why,
        box=box,
        images={name: lossless(image[box.slices]) for name, image in everything.items()},
        scores=scores,
        error_limit=limit or 1.0,
        left=BICUBIC if BICUBIC in images else GROUND_TRUTH,
        right=best,
    )


def _box(hr: Pixels, images: Sequence[Pixels], side: int) -> Box:
    height, width = hr.shape[:2]
    if max(height, width) <= side:
        return Box(0, 0, width, height)
    return choose_box([hr, *images], side, reference=hr)


def lossless(image: Pixels) -> str:
    """Return the image as a `data:` URL of a lossless WebP."""
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(content, format="WEBP", lossless=True, method=2, exact=True)
    return f"data:image/webp;base64,{b64encode(content.getvalue()).decode('ascii')}"
