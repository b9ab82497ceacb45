"""Downloads pretrained weights once and verifies them at every use."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from nitido.base.file_hash import sha256_of_file
from nitido.base.folders import cache_root
from nitido.data import DataError, fetch
from nitido.perception.backbone import PerceptionError


@dataclass(frozen=True)
class WeightsFile:
    """The trained weights of the backbone `owner`: URL and SHA-256 of the file."""

    owner: str
    url: str
    sha256: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return PurePosixPath(self.url).name

    @property
    def path(self) -> Path:
        """Path of the file in `$NITIDO_CACHE/weights/`."""
        return cache_root() / "weights" / self.name


def locate(weights: WeightsFile) -> Path:
    """Return the path of the verified file: nitido's own, or one that torch.hub has already downloaded, or a download.

    A download gets its name only when it is complete and its SHA-256 is correct. An interrupted download is resumed. A
    file of torch.hub with another SHA-256 is ignored.

    Raises:
        PerceptionError: The file cannot be obtained. The message names the URL and the folder for a manual copy.
    """
    if not weights.path.exists():
        hub = Path(torch.hub.get_dir()) / "checkpoints" / weights.name
        if hub.is_file() and sha256_of_file(hub) == weights.sha256:
            return hub
    try:
        fetch(weights.url, weights.path, weights.sha256)
    except DataError as error:
        raise PerceptionError(
            f"the weights of the backbone {weights.owner} are missing: {error}; copy {weights.url} to "
            f"{weights.path.parent}, or use the backbone efficientnet_lite0, which needs no download"
        ) from error
    return weights.path
