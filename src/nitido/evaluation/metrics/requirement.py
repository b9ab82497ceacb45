"""Optional requirements of metrics."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from nitido.base.file_hash import sha256_of_file
from nitido.evaluation.metrics.metric_inputs import MetricNotAvailableError


@dataclass(frozen=True)
class Requirement:
    """Importable packages, and optionally a file of torchvision's weights, which is never downloaded automatically.

    Attributes:
        packages: Import names.
        weights: URL of the file, whose name ends with the first digits of its SHA-256; "" for none. The file is
            expected in the folder of torch.hub, from which the packages read it.
    """

    packages: tuple[str, ...]
    weights: str = ""

    def missing(self) -> str | None:
        """Return what is missing and how to install it, or None."""
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
