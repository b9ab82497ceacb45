"""Convert rows to arrays: the same images for every variant, one column per seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from nitido.base.errors import NitidoError

Floats = NDArray[np.float64]


class StatisticsError(NitidoError):
    """The rows do not allow valid statistics."""


@dataclass(frozen=True)
class MeasuredImages:
    """The images that every variant is measured on.

    Attributes:
        datasets: the names of the test sets.
        dataset: `(P,)`, for each image the index of its test set.
        content: `(P,)`, a number per image that is equal for images with the same pixels; None if all differ.
    """

    datasets: tuple[str, ...]
    dataset: NDArray[np.int64]
    content: NDArray[np.int64] | None = None

    @cached_property
    def members(self) -> tuple[NDArray[np.int64], ...]:
        """For each test set the indices of its images."""
        return tuple(np.flatnonzero(self.dataset == d) for d in range(len(self.datasets)))

    @cached_property
    def weights(self) -> Floats:
        """`(P,)`, the weights of the images in the mean over test sets; they sum to 1."""
        sizes = np.array([len(m) for m in self.members])
        weights: Floats = 1.0 / (len(self.datasets) * sizes[self.dataset])
        return weights

    @cached_property
    def distinct(self) -> tuple[int, ...]:
        """For each test set the number of different images."""
        if self.content is None:
            return tuple(map(len, self.members))
        return tuple(len(np.unique(self.content[members])) for members in self.members)

    @cached_property
    def dependent(self) -> tuple[tuple[int, ...], ...]:
        """Groups of test sets: sets that share an image, directly or through others, are in one group."""
        groups: list[list[int]] = []
        for number, members in enumerate(self.members):
            own = set() if self.content is None else set(self.content[members].tolist())
            sharing = [g for g in groups if own & self._contents(g)]
            groups = [g for g in groups if g not in sharing]
            groups.append(sorted([number, *(d for g in sharing for d in g)]))
        return tuple(sorted(map(tuple, groups)))

    def repeats(self, group: Sequence[int]) -> bool:
        """Return whether an image occurs more than once in a group of test sets."""
        return (
            len(self._contents(group)) < sum(len(self.members[d]) for d in group) if self.content is not None else False
        )

    @property
    def repeated(self) -> int:
        """The number of images with the same pixels as an earlier one."""
        return 0 if self.content is None else len(self.content) - len(np.unique(self.content))

    def once(self, values: Floats) -> Floats:
        """Return `values` `(P,)` with images of the same pixels replaced by their mean."""
        if self.content is None:
            return values
        _, inverse = np.unique(self.content, return_inverse=True)
        means: Floats = np.bincount(inverse, values) / np.bincount(inverse)
        return means

    def _contents(self, group: Sequence[int]) -> set[int]:
        return set() if self.content is None else {c for d in group for c in self.content[self.members[d]].tolist()}


@dataclass(frozen=True)
class Scores:
    """One variant's values of one metric.

    Attributes:
        values: `(P, S)`, a row for each image and a column for each seed.
        trained: False for bicubic: S is 1, and there is no noise of training.
    """

    values: Floats
    trained: bool = True

    def __post_init__(self) -> None:
        """Raise `StatisticsError` for values of a wrong shape, or values that are not finite."""
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise StatisticsError(f"scores need the shape (images, seeds), not {self.values.shape}")
        if not self.trained and self.values.shape[1] != 1:
            raise StatisticsError(f"scores without training have one column, not {self.values.shape[1]}")
        if not np.isfinite(self.values).all():
            raise StatisticsError("scores must be finite numbers: leave a variant that diverged out")

    @cached_property
    def by_image(self) -> Floats:
        """`(P,)`, the mean over the seeds."""
        means: Floats = self.values.mean(axis=1)
        return means

    @property
    def seeds(self) -> int:
        """The number of trainings; 0 for bicubic."""
        return self.values.shape[1] if self.trained else 0

    @property
    def seed_noise_known(self) -> bool:
        """Whether the noise of training is known: at least two seeds, or no training."""
        return self.seeds != 1


@dataclass(frozen=True)
class StudyScores:
    """Every variant of a study on the same images."""

    images: MeasuredImages
    variants: dict[str, Scores]

    def on(self, dataset: str) -> "StudyScores":
        """Return the same variants on one test set."""
        chosen = self.images.members[self.images.datasets.index(dataset)]
        content = None if self.images.content is None else self.images.content[chosen]
        alone = MeasuredImages((dataset,), np.zeros(len(chosen), np.int64), content)
        return StudyScores(alone, {n: Scores(s.values[chosen], s.trained) for n, s in self.variants.items()})


def gather(rows: pl.DataFrame, variants: Sequence[str]) -> StudyScores:
    """Return arrays of `variants` from rows of one split, one metric and one learning rate per variant.

    Raises `StatisticsError` if the rows mix splits, metrics, scales or protocols, and for values that are not finite,
    duplicate, or missing.
    """
    rows = rows.filter(pl.col("variant").is_in(list(variants)))
    for column in ("split", "metric", "scale", "protocol"):
        found = rows[column].unique().sort().to_list()
        if len(found) > 1:
            raise StatisticsError(f"rows of different {column}s cannot be compared: {found[0]} and {found[1]}")
    images = rows.select("dataset", "image").unique().sort("dataset", "image")
    content = _content(rows, images)
    datasets = tuple(images["dataset"].unique().sort().to_list())
    index = {name: i for i, name in enumerate(datasets)}
    membership = np.array([index[name] for name in images["dataset"]], np.int64)
    by_variant = rows.partition_by("variant", as_dict=True)
    scores = {}
    for variant in variants:
        own = by_variant.get((variant,))
        if own is None:
            raise StatisticsError(f"variant {variant!r} has no rows: leave it out or run it")
        scores[variant] = _scores(variant, own, images)
    return StudyScores(MeasuredImages(datasets, membership, content), scores)


def _content(rows: pl.DataFrame, images: pl.DataFrame) -> NDArray[np.int64] | None:
    """Return a number per image, equal for equal hashes; None if all known hashes differ."""
    known = rows.filter(pl.col("content").is_not_null()).unique(["dataset", "image"], maintain_order=True)
    hashes = images.join(known, on=["dataset", "image"], how="left", maintain_order="left")["content"].to_list()
    keys = [number if sha256 is None else sha256 for number, sha256 in enumerate(hashes)]
    first: dict[str | int, int] = {}
    content = [first.setdefault(key, number) for number, key in enumerate(keys)]
    return np.array(content, np.int64) if len(first) < len(keys) else None


def _scores(variant: str, rows: pl.DataFrame, images: pl.DataFrame) -> Scores:
    rates = rows["lr"].unique().sort().to_list()
    if len(rates) > 1:
        raise StatisticsError(f"variant {variant!r} has rows of learning rates {rates[0]} and {rates[1]}: choose one")
    seeds = rows["seed"].unique().sort()
    if seeds.null_count() and len(seeds) > 1:
        raise StatisticsError(f"variant {variant!r} has rows with a seed and rows without one")
    broken = rows.filter(~pl.col("value").is_finite().fill_null(value=False))
    if len(broken):
        where = f"seed {broken['seed'][0]}, {broken['dataset'][0]} {broken['image'][0]}"
        raise StatisticsError(f"variant {variant!r} has a value that is no finite number ({where}): leave it out")
    if rows.select("dataset", "image", "seed").is_duplicated().any():
        raise StatisticsError(f"variant {variant!r} has an image that was measured twice with the same seed")
    if len(rows) != len(images) * len(seeds):
        every = images.join(seeds.to_frame(), how="cross")
        lacking = every.join(rows, on=["dataset", "image", "seed"], how="anti", nulls_equal=True)
        where = f"{lacking['dataset'][0]} {lacking['image'][0]}, seed {lacking['seed'][0]}"
        raise StatisticsError(
            f"variant {variant!r} lacks {len(lacking)} of {len(every)} values, the first of them {where}: "
            "paired differences need the same images for all"
        )
    values = rows.sort("dataset", "image", "seed")["value"].to_numpy().reshape(len(images), len(seeds))
    return Scores(values, trained=seeds.null_count() == 0)
