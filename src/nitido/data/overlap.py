"""Finds images that occur twice in training, validation and test sets, with equal or nearly equal pixels."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AliasChoices, Field

from nitido.base.activity import announced
from nitido.base.notes import note
from nitido.data.catalog import Role
from nitido.data.pack import Store
from nitido.data.thumbnails import SIDE, area_weights, thumbnails

Floats = npt.NDArray[np.float32]

_CELLS = 12  # cells per side of a description
_SIMILAR = 0.78  # minimum correlation of gradients of near duplicates
_CROPPED = ((0, 64), (0, 58), (3, 58), (6, 58), (6, 52))  # start and length of windows in a thumbnail
_SHIFTED = ((0, 52), (3, 52), (6, 52), (9, 52), (12, 52))
_WHOLE, _CENTRE = (0, 64), (6, 52)
_FLAT = 1.0  # gray levels between neighboring cells (root mean square) below which images are not compared
_AT_ONCE = 64  # images per step
_OTHERS_AT_ONCE = 256  # images per step with which they are compared
_SHOWN = 5  # maximum number of pairs in notes


@dataclass(frozen=True)
class Overlap:
    """Two images with the same content, in different sets or in one test set.

    Attributes:
        kind: "exact" for equal pixels; "near" if one is recompressed, resized, slightly cropped or shifted, mirrored,
            rotated by a multiple of 90°, or slightly brighter.
        roles: The roles of the two sets.
        sets: The names of the two sets.
        images: The names of the two images.
    """

    kind: Literal["exact", "near"]
    roles: tuple[Role, Role]
    sets: tuple[str, str]
    images: Annotated[tuple[str, str], Field(validation_alias=AliasChoices("images", "pictures"))]

    def __str__(self) -> str:
        """Return the names of both images, as in "woman of set5 (test) and 302003 of bsds200 (train)"."""
        (role, other_role), (name, other_name), (image, other) = self.roles, self.sets, self.images
        return f"{other} of {other_name} ({other_role}) and {image} of {name} ({role})"


def find_overlaps(train: Store, validation: Store, test: Mapping[str, Store]) -> tuple[Overlap, ...]:
    """Find images that occur in two of training, validation and test, or twice in the test sets.

    Images are compared as wholes: an image that is a small part of another is not found.
    """
    tests: list[tuple[Role, Store]] = [("test", store) for store in test.values()]
    held_out: list[tuple[Role, Store]] = [("validation", validation), *tests]
    pairs: list[tuple[tuple[Role, Store], tuple[Role, Store]]] = [(("train", train), other) for other in held_out]
    pairs += [(("validation", validation), other) for other in tests]
    found = [overlap for one, other in announced(pairs, "comparing image sets") for overlap in _between(one, other)]
    for number, one in enumerate(tests):
        found += _within(*one)
        found += [overlap for other in tests[number + 1 :] for overlap in _between(one, other)]
    return tuple(found)


def report_overlaps(overlaps: Sequence[Overlap]) -> None:
    """Report on standard error which images of different sets have the same content."""
    for kind, words in (("near", "look nearly the same"), ("exact", "have the same pixels")):
        pairs = [overlap for overlap in overlaps if overlap.kind == kind]
        for overlap in pairs[:_SHOWN]:
            note(f"{overlap} {words}")
        if len(pairs) > _SHOWN:
            note(f"{len(pairs) - _SHOWN} more pairs of images {words}")


def similar_images(one: Floats | npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Yield pairs of indices into two stacks of thumbnails, `(N, SIDE, SIDE)`, of images that are nearly the same."""
    for start in range(0, len(other), _OTHERS_AT_ONCE):
        for i, j in _similar(one, other[start : start + _OTHERS_AT_ONCE]):
            yield i, start + j


def _similar(one: Floats | npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    symmetries = _symmetries(other)
    whole, cropped = _describe(symmetries, [_WHOLE]), _describe(symmetries, _CROPPED)
    shifted = _describe(symmetries, _SHIFTED)
    for start in range(0, len(one), _AT_ONCE):
        part = one[start : start + _AT_ONCE]
        scores = np.maximum.reduce(
            [
                _correlation(_describe(part, _CROPPED), whole, len(part), len(other)),
                _correlation(_describe(part, [_WHOLE]), cropped, len(part), len(other)),
                _correlation(_describe(part, [_CENTRE]), shifted, len(part), len(other)),
            ]
        )
        for i, j in np.argwhere(scores > _SIMILAR).tolist():
            yield start + i, j


def _between(one: tuple[Role, Store], other: tuple[Role, Store]) -> list[Overlap]:
    (role, store), (other_role, other_store) = one, other
    sets = (store.name, other_store.name)
    return [
        Overlap(kind, (role, other_role), sets, (store.names[i], other_store.names[j]))
        for (i, j), kind in sorted(_same(store, other_store).items())
    ]


def _within(role: Role, store: Store) -> list[Overlap]:
    """Return the images that occur twice in one set."""
    return [
        Overlap(kind, (role, role), (store.name, store.name), (store.names[i], store.names[j]))
        for (i, j), kind in sorted(_same(store, store).items())
        if i < j
    ]


def _same(store: Store, other: Store) -> dict[tuple[int, int], Literal["exact", "near"]]:
    """Return pairs of indices of images in two sets with the same content."""
    by_hash: dict[str, list[int]] = defaultdict(list)
    for i, sha256 in enumerate(store.hashes):
        by_hash[sha256].append(i)
    exact = [(i, j) for j, sha256 in enumerate(other.hashes) for i in by_hash[sha256]]
    kinds: dict[tuple[int, int], Literal["exact", "near"]] = dict.fromkeys(exact, "exact")
    for pair in similar_images(thumbnails(store), thumbnails(other)):
        kinds.setdefault(pair, "near")
    return kinds


def _symmetries(stack: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the eight symmetries of the square of every thumbnail, `(8 * N, SIDE, SIDE)`."""
    both = [stack, stack.swapaxes(1, 2)]
    return np.concatenate([s[:, ::down, ::right] for s in both for down in (1, -1) for right in (1, -1)])


def _describe(stack: npt.NDArray[np.uint8] | Floats, windows: Sequence[tuple[int, int]]) -> Floats:
    """Return the normalized gradients of windows of thumbnails, `(windows² * N, features)`.

    Windows are all combinations of vertical and horizontal ones. Gradients distinguish landscapes, whose brightness is
    similar.
    """
    weights = np.stack([area_weights(SIDE, _CELLS, start, length) for start, length in windows])
    rows = weights[:, None] @ stack.astype(np.float32)[None]  # (windows, N, cells, SIDE)
    cells = rows[None] @ weights.swapaxes(1, 2)[:, None, None]  # (windows, windows, N, cells, cells)
    cells = cells.reshape(-1, _CELLS, _CELLS)
    down, right = np.diff(cells, axis=1)[:, :, :-1], np.diff(cells, axis=2)[:, :-1]
    features = np.concatenate([down, right], axis=1).reshape(len(cells), -1)
    features -= features.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(features, axis=1, keepdims=True)
    flat = norm < _FLAT * np.sqrt(features.shape[1])
    return np.where(flat, 0, features / np.maximum(norm, 1e-6)).astype(np.float32)


def _correlation(one: Floats, other: Floats, images: int, others: int) -> Floats:
    """Return the maximum correlation of any description of an image with any of another, `(images, others)`."""
    best = (one @ other.T).reshape(len(one), -1, others).max(axis=1)
    largest: Floats = best.reshape(-1, images, others).max(axis=0)
    return largest
