"""nitido: a workbench for single-image super-resolution."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nitido.architectures import SuperResolutionNetwork
    from nitido.upscaling.upscaler import ImageKind

__version__ = version("nitido")


def load_model(name_or_path: str | Path, scale: int | None = None) -> "SuperResolutionNetwork":
    """Load a trained network of the zoo, a run directory or a `.safetensors` file, in eval mode, on the CPU.

    The network maps `(N, C, h, w)` float in [0, 1] to `(N, C, k·h, k·w)`; `.scale` is k and `.channels` is C (3: RGB,
    1: Y alone). `scale` chooses k where one model serves several; without it k is the first of them. Raises
    `nitido.models.ModelFileError` in one line when it is no model of nitido's, or not one for that scale.
    """
    from nitido.models.find import find_model

    return find_model(name_or_path, scale).network


def upscale(
    image: "ImageKind",
    model: "str | Path | SuperResolutionNetwork | None" = None,
    scale: float | None = None,
    *,
    device: str | None = None,
) -> "ImageKind":
    """Enlarge `image` by `scale`; without one by the model's own factor. The result is of the same kind.

    `image` is a NumPy uint8 or uint16 array, `(H, W)` grey, `(H, W, 3)` RGB or `(H, W, 4)` with alpha, or a PIL image.
    `model` is `bicubic`, a name of the zoo, a run directory, a `.safetensors` file or a network; without one it is the
    zoo's best for the scale. Any scale up to 16 will do. `device` is where the model runs:
    `auto` (default), `cpu`, `cuda:N` or `mps`; a network runs where it is by default. For more choices see
    `nitido.upscaling.upscaler`. Raises `nitido.base.errors.NitidoError` in one line for anything else.
    """
    from nitido.upscaling.upscaler import upscale as upscale

    return upscale(image, model, scale, device=device)
