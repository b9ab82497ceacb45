"""What a metric needs that may not be there."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from nitido.base.file_hash import sha256_of_file
from nitido.evaluation.metrics.pictures import MetricNotAvailableError


@dataclass(frozen=True)
class Requirement:
    """Importable packages, and perhaps a file of torchvision's weights, which is looked for and never downloaded.

    Attributes:
        packages: by the names they are imported by.
        weights: the public address of the file, whose name ends in the first digits of its SHA-256; "" for none. It is
            looked for where torch.hub keeps its own, since that is where the packages read it.
    """

    packages: tuple[str, ...]
    weights: str = ""

    def missing(self) -> str | None:
        """What is not there, and what would help, or None."""
        for package in self.packages:
            if find_spec(package) is None:
                name = package.lower().replace("_", "-")
                return f"the package {name} is not installed (pip install {name})"
        return _missing_weights(self.weights) if self.weights else None

    def require(self, metric: str) -> None:
        """Raise `MetricNotAvailableError` of `metric` when something is missing."""
        reason = self.missing()
        if reason is not None:
            raise MetricNotAvailableError(metric, reason)


def _missing_weights(address: str) -> str | None:
    import torch

    file = Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(address).name
    if not file.is_file():
        return f"its weights are not in {file.parent}: put {address} there"
    digits = file.stem.rpartition("-")[2]
    if sha256_of_file(file).startswith(digits):
        return None
    return f"{file} is damaged: its SHA-256 does not begin with {digits}"
