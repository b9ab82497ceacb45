"""Weights at public addresses: downloaded once, verified always."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from nitido.base.file_hash import sha256_of_file
from nitido.base.folders import cache_root
from nitido.data import DataError, fetch
from nitido.perception.backbone import PerceptionError


@dataclass(frozen=True)
class WeightsFile:
    """The trained weights of the backbone `owner`: their address and the SHA-256 of the file."""

    owner: str
    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePosixPath(self.url).name

    @property
    def path(self) -> Path:
        """Where the file is kept: `$NITIDO_CACHE/weights/`."""
        return cache_root() / "weights" / self.name


def locate(weights: WeightsFile) -> Path:
    """The path of the verified file: our own, else the one torch.hub has downloaded already, else a download.

    A download appears under its name only when it is whole and its SHA-256 is right; an interrupted one goes on where
    it stopped. A file of torch.hub that is not the right one is passed over.

    Raises `PerceptionError` when the file cannot be had, saying from where and to where it may be copied by hand.
    """
    if not weights.path.exists():
        hub = Path(torch.hub.get_dir()) / "checkpoints" / weights.name
        if hub.is_file() and sha256_of_file(hub) == weights.sha256:
            return hub
    try:
        fetch(weights.url, weights.path, weights.sha256)
    except DataError as error:
        raise PerceptionError(
            f"the backbone {weights.owner} has no weights: {error}; put {weights.url} into {weights.path.parent} by "
            "hand, or take the backbone efficientnet_lite0, which needs no download"
        ) from error
    return weights.path
