"""Recognize the images of published test sets by their content, whatever the files are called."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol

DIGITS = 16
"""Hexadecimal digits of a content hash that are stored: enough to tell a few hundred images apart."""


class _Image(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...


@cache
def published_images() -> Mapping[str, frozenset[str]]:
    """Return for each known test set the first `DIGITS` digits of its images' content hashes.

    The sets are Set5, Set14 and BSD100 as they are usually distributed, in lossless files.
    """
    text = files("nitido.data").joinpath("published_images.json").read_text(encoding="utf-8")
    return {name: frozenset(hashes) for name, hashes in json.loads(text).items()}


def replaced_images(images: Iterable[_Image], published: frozenset[Path]) -> dict[str, list[str]]:
    """Return for each known test set the names of its `images` that are not the published ones.

    Args:
        images: Images with their name, path and content hash.
        published: The paths that stand for images of the catalog's datasets; a dataset's folder has its name.
    """
    found: dict[str, list[str]] = {}
    for image in images:
        path = Path(image.path)
        dataset = path.parent.name
        if path not in published or (known := published_images().get(dataset)) is None:
            continue
        if image.sha256[:DIGITS] not in known:
            found.setdefault(dataset, []).append(image.name)
    return found
