"""Upscales images with a model: any size, 8 or 16 bits, gray or color, with transparency, in bounded memory."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from numbers import Real
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from nitido.architectures import SuperResolutionNetwork
from nitido.base.device import AUTO, CPU, choose_device, device_of
from nitido.imaging import SCALES, bicubic_upscale, is_flat
from nitido.imaging.files import Pixels
from nitido.models.bfloat16 import Precision, chooses_bfloat16
from nitido.models.find import find_model
from nitido.models.onnx import SUFFIX as ONNX_SUFFIX
from nitido.models.onnx import load_onnx_file
from nitido.models.self_ensemble import SelfEnsemble
from nitido.models.tiling import Tile, tiles
from nitido.models.working_memory import ForeignNetwork
from nitido.models.zoo.listing import choose_default
from nitido.upscaling.images.channels import match_channels
from nitido.upscaling.images.depth import convert_depth
from nitido.upscaling.images.resize_to import resize_to
from nitido.upscaling.images.target_size import TargetSize, UpscaleError
from nitido.upscaling.images.transparency import bleed_colors
from nitido.upscaling.tiled_inference import MEMORY, Advance, Note, TiledInference, TilingContext
from nitido.upscaling.workspace import Workspace

BICUBIC = "bicubic"
"""The model name of bicubic interpolation, which is not a network."""

_PREVIEW_MARGIN = 64  # LR pixels around a preview if the network depends on the whole image
_BICUBIC_RADIUS = 2
_STRIP = 2**22  # numbers per strip of bicubic

Rectangle = tuple[int, int, int, int]
"""X, Y, width and height of a part of an image, in its pixels."""

ImageKind = TypeVar("ImageKind", npt.NDArray[np.uint8 | np.uint16], Image.Image)
"""A NumPy array or a PIL image."""


def _ignore(what: object) -> None:
    """Ignore progress and notes."""


class ImageUpscaler:
    """Upscales pixels with a network, or with bicubic interpolation if `network` is None.

    A network with the scale k is applied as often as necessary, and MATLAB's bicubic downscales a result that is too
    large. Of several scales of a network, the smallest sufficient one is used, or else the largest. Between
    applications pixels have 16 bits. Tiles with margins of the network's receptive field give the pixels of the whole
    image; `memory` is the memory limit for inference in bytes.

    Attributes:
        precision: `auto` is bfloat16 if the machine is fast at it and it was measured to cost almost nothing.
    """

    def __init__(
        self,
        network: SuperResolutionNetwork | None,
        *,
        scales: Sequence[int] = (),
        self_ensemble: bool = False,
        memory: int = MEMORY,
        precision: Precision = "auto",
        bfloat16_cost_db: Mapping[int, float] | None = None,
    ):
        """Use `network`, put into eval mode and channels last.

        Args:
            network: The network; None for bicubic.
            scales: Scales that the network's weights support; by default only its own.
            self_ensemble: Whether to average over eight flips and rotations.
            memory: Memory limit for inference in bytes.
            precision: Number format of inference.
            bfloat16_cost_db: Measured loss of PSNR-Y in dB under bfloat16, by scale.

        Raises:
            UpscaleError: A self-ensemble or bfloat16 was requested without a PyTorch network.
        """
        if network is None and self_ensemble:
            raise UpscaleError("a self-ensemble needs a network: it does not change bicubic")
        if precision == "bfloat16" and (network is None or _is_foreign(network)):
            raise UpscaleError("bfloat16 needs a network that PyTorch runs: choose another precision or backend")
        self.network = network.eval().to(memory_format=torch.channels_last) if network is not None else None
        if self.network is not None and self_ensemble:
            self.network = SelfEnsemble(self.network).eval()
        self.scales = tuple(scales)
        self.memory = memory
        self.precision = precision
        self._cost_db = bfloat16_cost_db or {}

    @property
    def own_scale(self) -> int | None:
        """Scale of the network, of several the first; None for bicubic, which has none."""
        return None if self.network is None else self.network.scale

    @property
    def device(self) -> torch.device:
        """Where the network runs; bicubic runs on the processor."""
        return CPU if self.network is None else device_of(self.network)

    def upscale(
        self,
        pixels: Pixels,
        alpha: Pixels | None,
        height: int,
        width: int,
        advance: Advance = _ignore,
        *,
        note: Note = _ignore,
        workspace: Workspace | None = None,
    ) -> tuple[Pixels, Pixels | None]:
        """Upscale `pixels` and `alpha` to `height` × `width`, with unchanged types.

        Alpha is upscaled by bicubic interpolation. Fully transparent pixels first get the color of their nearest
        visible neighbors, to avoid fringes.

        Args:
            pixels: `(h, w, C)` uint8 or uint16, C = 1 (gray) or 3 (RGB).
            alpha: `(h, w)` of the same type, or None.
            height: Rows of the result.
            width: Columns of the result.
            advance: Called with progress.
            note: Called with messages if processing differs from what was requested.
            workspace: Allocates results and intermediate arrays.

        Raises:
            UpscaleError: The network's output is not finite, or memory is not sufficient.
        """
        network = self._network_for(max(height / pixels.shape[0], width / pixels.shape[1]))
        context = TilingContext(advance, note, workspace or Workspace())
        return self._upscale(network, pixels, alpha, height, width, context)

    def _network_for(self, factor: float) -> SuperResolutionNetwork | None:
        """Return the network at the smallest of its scales that is at least `factor`, or else at its largest."""
        if self.network is None or not self.scales:
            return self.network
        reaching = [scale for scale in self.scales if scale >= factor - 1e-9]
        return self.network.at_scale(min(reaching) if reaching else max(self.scales))

    def _upscale(
        self,
        network: SuperResolutionNetwork | None,
        pixels: Pixels,
        alpha: Pixels | None,
        height: int,
        width: int,
        context: TilingContext,
    ) -> tuple[Pixels, Pixels | None]:
        upscaled_alpha = None
        if alpha is not None:
            pixels = bleed_colors(pixels, alpha, context.workspace)
            without_progress = context._replace(advance=_ignore)
            upscaled_alpha = _bicubic(alpha[:, :, None], height, width, without_progress)[:, :, 0]
        if network is None:
            return _bicubic(pixels, height, width, context), upscaled_alpha
        bfloat16 = _in_bfloat16(network, self.precision, self._cost_db)
        runner = TiledInference(match_channels(network, pixels.shape[2]).eval(), self.memory, bfloat16)
        upscaled = _repeatedly(runner, pixels, height, width, context)
        if is_flat(upscaled) and not is_flat(pixels):
            context.note("the network's output is a single flat color, but the input is not")
        return upscaled, upscaled_alpha

    def upscale_part(
        self,
        pixels: Pixels,
        alpha: Pixels | None,
        height: int,
        width: int,
        part: Rectangle,
        advance: Advance = _ignore,
        *,
        note: Note = _ignore,
        workspace: Workspace | None = None,
    ) -> tuple[Pixels, Pixels | None]:
        """Return what `upscale` computes for a rectangle of the image, without upscaling the rest.

        The pixels are the same if the scale is a power of the network's. Otherwise the sampling grid of the final
        bicubic resizing may be shifted by up to half a pixel.

        Args:
            pixels: As in `upscale`.
            alpha: As in `upscale`.
            height: Rows of the whole result.
            width: Columns of the whole result.
            part: The rectangle.
            advance: As in `upscale`.
            note: As in `upscale`.
            workspace: As in `upscale`.

        Raises:
            UpscaleError: As in `upscale`, or the rectangle is not within the image.
        """
        x, y, wide, high = part
        all_high, all_wide = pixels.shape[:2]
        if min(x, y) < 0 or min(wide, high) < 1 or x + wide > all_wide or y + high > all_high:
            raise UpscaleError(f"the part {x},{y},{wide},{high} is not within the image of {all_wide}×{all_high}")
        network = self._network_for(max(height / all_high, width / all_wide))
        margin = _margin(network, height / all_high)
        row, column = Tile.around(y, y + high, margin, all_high), Tile.around(x, x + wide, margin, all_wide)
        window = (slice(row.start, row.stop), slice(column.start, column.stop))
        down, across = height / all_high, width / all_wide
        sizes = (ceil((row.stop - row.start) * down - 1e-9), ceil((column.stop - column.start) * across - 1e-9))
        inside = None if alpha is None else alpha[window]
        context = TilingContext(advance, note, workspace or Workspace())
        upscaled, upscaled_alpha = self._upscale(network, pixels[window], inside, *sizes, context)
        rows = slice(round((y - row.start) * down), round((y - row.start + high) * down))
        columns = slice(round((x - column.start) * across), round((x - column.start + wide) * across))
        return upscaled[rows, columns], None if upscaled_alpha is None else upscaled_alpha[rows, columns]


def load_upscaler(
    model: str | Path | SuperResolutionNetwork,
    *,
    self_ensemble: bool = False,
    memory: int = MEMORY,
    precision: Precision = "auto",
    backend: Callable[[SuperResolutionNetwork, bool], SuperResolutionNetwork] | None = None,
    device: str | torch.device | None = None,
) -> ImageUpscaler:
    """Return an upscaler for a model.

    Args:
        model: `bicubic`, a name of the zoo, a run directory, a `.safetensors` or `.onnx` file, or a network.
        self_ensemble: Whether to average over eight flips and rotations.
        memory: Memory limit for inference in bytes.
        precision: Number format of inference.
        backend: Converts the network (see `nitido.upscaling.backends`), given whether PyTorch would use bfloat16.
        device: Where the network runs: `auto`, `cpu`, `cuda:N` or `mps`; by default what `auto` takes. A network stays
            where it is by default, and with a `backend` the processor is the default.

    Raises:
        ModelFileError: `model` is none of these.
        DeviceError: The device is not available.
        UpscaleError: `model` runs on the processor only, and another `device` is given.
    """
    scales: Sequence[int] = ()
    cost_db: Mapping[int, float] = {}
    if isinstance(model, SuperResolutionNetwork):
        network: SuperResolutionNetwork | None = model
    elif str(model) == BICUBIC:
        network = None
    elif Path(model).suffix.lower() == ONNX_SUFFIX:
        network = load_onnx_file(Path(model))
    else:
        network, descriptor = find_model(model)
        scales = descriptor.scales
        cost_db = descriptor.publication.bfloat16_cost_db if descriptor.publication is not None else {}
    if network is not None:
        kept = isinstance(model, SuperResolutionNetwork) or backend is not None or _is_foreign(network)
        network = network.to(_device(network, device, kept=kept))
    elif device is not None:
        raise UpscaleError(f"device {str(device)!r}: bicubic is no network and runs on the processor")
    if network is not None and backend is not None:
        network = backend(network, _in_bfloat16(network, precision, cost_db))
    return ImageUpscaler(
        network,
        scales=scales,
        self_ensemble=self_ensemble,
        memory=memory,
        precision=precision,
        bfloat16_cost_db=cost_db,
    )


def upscale(
    image: ImageKind,
    model: str | Path | SuperResolutionNetwork | None = None,
    scale: float | None = None,
    *,
    self_ensemble: bool = False,
    memory: int = MEMORY,
    device: str | torch.device | None = None,
) -> ImageKind:
    """Upscale `image` by `scale`, by default by the model's own. The result is of the same kind.

    Args:
        image: A NumPy uint8 or uint16 array over the full range, `(H, W)` gray, `(H, W, 3)` RGB or `(H, W, 4)` RGBA, or
            a PIL image of mode L, LA, RGB, RGBA or I;16. One with a transparent color becomes one with alpha.
        model: `bicubic`, a name of the zoo, a run directory, a `.safetensors` file or a network; by default the best
            model of the zoo for `scale`.
        scale: The scale.
        self_ensemble: Whether to average over eight flips and rotations.
        memory: Memory limit for inference in bytes.
        device: Where the network runs, as of `load_upscaler`.

    Raises:
        UpscaleError: The image or the scale is not supported.
        ZooError: There is no default model.

    >>> upscale(np.array([[0, 255]], dtype=np.uint8), "bicubic", 2)
    array([[  0,  52, 203, 255],
           [  0,  52, 203, 255]], dtype=uint8)
    """
    if scale is not None and not isinstance(scale, Real):
        raise UpscaleError(f"scale {scale!r}: it must be a number")
    if model is not None and not isinstance(model, str | Path | SuperResolutionNetwork):
        raise UpscaleError(f"model {model!r}: it must be a name, a path or a network")
    target = TargetSize(scale=scale)
    if isinstance(image, Image.Image):
        samples = _samples(image)
    elif isinstance(image, np.ndarray):
        samples = image
    else:
        raise UpscaleError(f"a {type(image).__name__}: it must be a NumPy array or a PIL image")
    chosen = choose_default(scale) if model is None else model
    upscaler = load_upscaler(chosen, self_ensemble=self_ensemble, memory=memory, device=device)
    pixels, alpha = _split(samples, isinstance(image, Image.Image))
    size = target.of(pixels.shape[0], pixels.shape[1], upscaler.own_scale)
    upscaled, upscaled_alpha = upscaler.upscale(pixels, alpha, *size)
    joined = upscaled if upscaled_alpha is None else np.dstack([upscaled, upscaled_alpha])
    joined = joined[:, :, 0] if samples.ndim == 2 else joined
    if not isinstance(image, Image.Image):
        return cast(ImageKind, joined)
    result = Image.fromarray(joined)
    result.info = {key: image.info[key] for key in ("icc_profile", "exif", "xmp", "dpi") if key in image.info}
    return result


def _samples(image: Image.Image) -> Pixels:
    """Return the samples of a PIL image, with alpha if one of its colors is transparent."""
    if image.mode not in ("L", "LA", "RGB", "RGBA", "I;16"):
        raise UpscaleError(f"a PIL image of mode {image.mode}: it must be L, LA, RGB, RGBA or I;16; convert it")
    if "transparency" not in image.info or image.mode in ("LA", "RGBA"):
        return np.asarray(image)
    if image.mode == "I;16":
        raise UpscaleError("a PIL image of mode I;16 with a transparent gray, which PIL cannot convert: use the file")
    return np.asarray(image.convert("LA" if image.mode == "L" else "RGBA"))


def _device(network: SuperResolutionNetwork, device: str | torch.device | None, *, kept: bool) -> torch.device:
    """Return where `network` runs; without a `device` what `auto` takes, or where it is if it is `kept` there."""
    if device is None:
        return device_of(network) if kept else choose_device()
    if _is_foreign(network):
        if str(device) in (AUTO, "cpu"):
            return CPU
        raise UpscaleError(f"device {str(device)!r}: ONNX Runtime runs this model on the processor")
    return choose_device(str(device))


def _split(samples: Pixels, two_channels: bool) -> tuple[Pixels, Pixels | None]:
    """Return colors `(H, W, C)` and alpha; `two_channels` permits gray with alpha."""
    shape = samples.shape
    channels = shape[2] if samples.ndim == 3 else 1
    known = (1, 2, 3, 4) if two_channels else (3, 4)
    fits = samples.ndim == 2 or (samples.ndim == 3 and channels in known)
    if not fits or samples.size == 0 or samples.dtype not in (np.uint8, np.uint16):
        raise UpscaleError(
            f"a {samples.dtype} array {shape}: it must be uint8 or uint16, (H, W), (H, W, 3) or (H, W, 4)"
        )
    planes = samples.reshape(shape[0], shape[1], channels)
    colors = 1 if channels < 3 else 3
    return planes[:, :, :colors], planes[:, :, colors] if channels > colors else None


def _in_bfloat16(network: SuperResolutionNetwork, precision: Precision, cost_db: Mapping[int, float]) -> bool:
    """Return whether `network`, at its scale, uses bfloat16."""
    return not _is_foreign(network) and chooses_bfloat16(precision, cost_db.get(network.scale), device_of(network))


def _is_foreign(network: SuperResolutionNetwork) -> bool:
    return any(isinstance(part, ForeignNetwork) for part in network.modules())


def _bicubic(pixels: Pixels, height: int, width: int, context: TilingContext) -> Pixels:
    """Apply MATLAB's bicubic for any size, with exact integer arithmetic for integer scales."""
    factor = height // pixels.shape[0]
    if factor not in SCALES or (height, width) != (factor * pixels.shape[0], factor * pixels.shape[1]):
        resized = resize_to(pixels, height, width, context.workspace)
        context.advance(1.0)
        return resized
    upscaled = context.workspace.like(pixels, height=height, width=width)
    side = max(4 * _BICUBIC_RADIUS, _STRIP // (factor * width * pixels.shape[2]))
    for rows in tiles(pixels.shape[0], side, _BICUBIC_RADIUS):
        strip = bicubic_upscale(pixels[rows.start : rows.stop], factor)  # type: ignore[type-var]
        own = slice(factor * (rows.first - rows.start), factor * (rows.last - rows.start))
        upscaled[factor * rows.first : factor * rows.last] = strip[own]
        context.workspace.release()
        context.advance((rows.last - rows.first) / pixels.shape[0])
    return upscaled


def _margin(network: SuperResolutionNetwork | None, factor: float) -> int:
    """Return the LR pixels around a part on which its upscaled pixels depend."""
    if network is None:
        return 4
    radius = network.receptive_field_radius
    if radius is None:
        return _PREVIEW_MARGIN
    runs = _runs(network.scale, factor)
    return 4 + sum(ceil(max(radius, 2) / float(network.scale) ** run) for run in range(runs))


def _runs(scale: int, factor: float) -> int:
    """Return how often a network with this scale must be applied for `factor`."""
    runs = 1
    while scale**runs < factor - 1e-9:
        runs += 1
    return runs


def _repeatedly(runner: TiledInference, pixels: Pixels, height: int, width: int, context: TilingContext) -> Pixels:
    bits, scale = pixels.dtype.itemsize * 8, runner.network.scale
    runs = _runs(scale, max(height / pixels.shape[0], width / pixels.shape[1]))
    exact = (height, width) == (pixels.shape[0] * scale**runs, pixels.shape[1] * scale**runs)
    work = [scale ** (2 * run) for run in range(runs)]
    for run in range(runs):

        def advanced(part: float, share: float = work[run] / sum(work)) -> None:
            context.advance(part * share)

        last = exact and run == runs - 1
        pixels = runner.run(pixels, bits if last else 16, context._replace(advance=advanced))
    if exact:
        return pixels
    return convert_depth(resize_to(pixels, height, width, context.workspace), bits, context.workspace)
