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
    1: Y only).

    Args:
        name_or_path: The model.
        scale: The scale k, for a model that supports several; by default its first one.

    Raises:
        nitido.models.ModelFileError: There is no such model, it cannot be read, or it does not support `scale`.
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
    """Upscale `image` and return the result as the same type: a NumPy array or a PIL image.

    `nitido.upscaling.upscaler` has further options.

    Args:
        image: A NumPy uint8 or uint16 array, `(H, W)` gray, `(H, W, 3)` RGB or `(H, W, 4)` RGBA, or a PIL image.
        model: `bicubic`, a name of the zoo, a run directory, a `.safetensors` file or a network; by default the best
            model of the zoo for `scale`.
        scale: The scale factor, above 1 and at most 16; by default that of the model.
        device: Where the model runs: `auto` (default), `cpu`, `cuda:N` or `mps`; a network stays on its own device.

    Raises:
        nitido.base.errors.NitidoError: The image, model, scale or device is not supported.
    """
    from nitido.upscaling.upscaler import upscale as upscale

    return upscale(image, model, scale, device=device)
