"""Relate the gain of the best variant on each test image to properties of the image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from nitido.data import Store
from nitido.evaluation.image_descriptors import DESCRIPTORS, describe
from nitido.study.leaderboard import RANKED_BY, Leaderboard
from nitido.study.statistics.rank_correlation import Relation, relate
from nitido.study.statistics.scores import Floats

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class ContentStudy:
    """The gain of `variant` over `base` on each test image, and descriptors of the image.

    Attributes:
        images: (dataset, image) of each image.
        gains: `(P,)`, PSNR-Y in dB, means over seeds.
        descriptors: name -> `(P,)`.
        relations: strongest first; empty if there are too few images.
    """

    variant: str
    base: str
    images: tuple[tuple[str, str], ...]
    gains: Floats
    descriptors: Mapping[str, Floats]
    relations: tuple[Relation, ...]

    @property
    def sentence(self) -> str:
        """Return the result in one sentence."""
        number = len(self.images)
        if not self.relations:
            return f"{number} test images are too few to tell on which of them {self.variant} helps."
        best = self.relations[0]
        if best.p_value >= SIGNIFICANT:
            return (
                f"The gain of {self.variant} over {self.base} is not significantly correlated with any measured "
                f"property of the {number} images."
            )
        kind = DESCRIPTORS[best.descriptor]
        more, less = (kind.high, kind.low) if best.correlation > 0 else (kind.low, kind.high)
        return (
            f"{self.variant} gains most over {self.base} on images with {more}, least on those with {less} "
            f"(rank correlation with {best.descriptor} {best.correlation:+.2f} over {number} images)."
        )


def study_content(rows: pl.DataFrame, board: Leaderboard, stores: Mapping[str, Store]) -> ContentStudy | None:
    """Return the gain of the best variant over the baseline, or over bicubic if the baseline itself is best.

    `stores` holds the images of each test set. None if no trained variant has a rank, or there are no common images.
    """
    best = board.best()
    if best is None:
        return None
    base = board.baseline if best.variant != board.baseline else "bicubic"
    scores = rows.filter((pl.col("split") == "test") & (pl.col("metric") == RANKED_BY))
    ours = _by_image(scores, best.variant, best.learning_rate)
    theirs = _by_image(scores, base, board.entry(base).learning_rate)
    both = ours.join(theirs, on=("dataset", "image"), suffix="_base").sort("dataset", "image")
    both = both.filter((pl.col("value") - pl.col("value_base")).is_finite())
    both = both.filter(pl.col("content").is_null() | pl.col("content").is_first_distinct())  # each image once
    if both.is_empty():
        return None
    images = [(str(dataset), str(image)) for dataset, image in both.select("dataset", "image").iter_rows()]
    described = [_describe(stores[dataset], image, board.scale) for dataset, image in images]
    gains = (both["value"] - both["value_base"]).to_numpy()
    descriptors = {name: np.array([found[name] for found in described]) for name in DESCRIPTORS}
    return ContentStudy(best.variant, base, tuple(images), gains, descriptors, relate(gains, descriptors))


def _by_image(scores: pl.DataFrame, variant: str, learning_rate: float | None) -> pl.DataFrame:
    chosen = (pl.col("variant") == variant) & pl.col("lr").eq_missing(pl.lit(learning_rate, pl.Float64))
    return scores.filter(chosen).group_by("dataset", "image").agg(pl.col("value").mean(), pl.col("content").first())


def _describe(store: Store, image: str, scale: int) -> dict[str, float]:
    return describe(store.hr_cropped(store.names.index(image), scale))
