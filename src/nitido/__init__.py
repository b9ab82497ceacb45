"""nitido: a workbench for single-image super-resolution."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nitido.architectures import SuperResolutionNetwork

__version__ = version("nitido")


def load_model(name_or_path: str | Path) -> "SuperResolutionNetwork":
    """Load a trained network from a run directory or a `.safetensors` file, in eval mode, on the CPU.

    The network maps `(N, C, h, w)` float in [0, 1] to `(N, C, k·h, k·w)`; `.scale` is k and `.channels` is C (3: RGB,
    1: Y alone). Raises `nitido.inference.ModelFileError` in one line when it is no model of nitido's.
    """
    from nitido.inference.models import find_model

    return find_model(name_or_path).network
