"""A model on real pictures: any size, 8 or 16 bits, grey or colour, with transparency, in bounded memory."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from nitido.architectures import SuperResolutionNetwork
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
"""The model that is no network."""

_PREVIEW_MARGIN = 64  # LR pixels around a preview where the network sees the whole picture
_BICUBIC_RADIUS = 2
_STRIP = 2**22  # numbers that bicubic makes at once

Rectangle = tuple[int, int, int, int]
"""X, Y, width and height of a part of a picture, in its own pixels."""

ImageKind = TypeVar("ImageKind", npt.NDArray[np.uint8 | np.uint16], Image.Image)
"""A NumPy array or a PIL image."""


def _ignore(what: object) -> None:
    """Ignore progress and notes."""


class ImageUpscaler:
    """Enlarges pixels by a network, or by bicubic where `network` is None.

    A network that enlarges by k is run as often as the size needs, and MATLAB's bicubic shrinks what is too large; one
    that serves several factors is used at the smallest that reaches the size, else at the largest. Between runs the
    pixels have 16 bits. Pieces of a picture, with the network's receptive field around them, give the pixels of the
    whole; `memory` is how many bytes the network may work in.

    Attributes:
        precision: `auto` calculates in bfloat16 where the machine is fast at it and it is known to cost nothing.
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
        """Use `network`, put in eval mode and channels last; `self_ensemble` averages its look at eight symmetries.

        `scales` are the factors that the network's weights serve; none given: its own alone. `bfloat16_cost_db` says
        what bfloat16 was measured to cost it at each scale, in dB of PSNR-Y. Raises `UpscaleError` for a self-ensemble
        or bfloat16 of what is no network of PyTorch's.
        """
        if network is None and self_ensemble:
            raise UpscaleError("bicubic sees all eight symmetries alike: the self-ensemble is for networks")
        if precision == "bfloat16" and (network is None or _is_foreign(network)):
            raise UpscaleError("bfloat16 is for networks that PyTorch runs: choose another precision or backend")
        self.network = network.eval().to(memory_format=torch.channels_last) if network is not None else None
        if self.network is not None and self_ensemble:
            self.network = SelfEnsemble(self.network).eval()
        self.scales = tuple(scales)
        self.memory = memory
        self.precision = precision
        self._cost_db = bfloat16_cost_db or {}

    @property
    def own_scale(self) -> int | None:
        """The network's factor, of several the first; None for bicubic, which has none."""
        return None if self.network is None else self.network.scale

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
        """Enlarge `(h, w, C)` uint8 or uint16 `pixels` and `(h, w)` `alpha` to `height` × `width`, types kept.

        C is 1 (grey) or 3 (RGB). Alpha is enlarged by bicubic; colours of wholly transparent pixels are those of their
        nearest neighbours, so that no fringe appears. `note` is told what had to be done otherwise; the results, and
        what lies between, are made by `workspace`. Raises `UpscaleError` when the network's numbers are not finite, or
        there is not the memory.
        """
        network = self._network_for(max(height / pixels.shape[0], width / pixels.shape[1]))
        context = TilingContext(advance, note, workspace or Workspace())
        return self._upscale(network, pixels, alpha, height, width, context)

    def _network_for(self, factor: float) -> SuperResolutionNetwork | None:
        """The network at the smallest of its scales that reaches `factor`, else at its largest."""
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
            unwatched = context._replace(advance=_ignore)
            upscaled_alpha = _bicubic(alpha[:, :, None], height, width, unwatched)[:, :, 0]
        if network is None:
            return _bicubic(pixels, height, width, context), upscaled_alpha
        bfloat16 = _in_bfloat16(network, self.precision, self._cost_db)
        runner = TiledInference(match_channels(network, pixels.shape[2]).eval(), self.memory, bfloat16)
        upscaled = _repeatedly(runner, pixels, height, width, context)
        if is_flat(upscaled) and not is_flat(pixels):
            context.note("the network's output is one flat colour, the picture is not")
        return upscaled, upscaled_alpha

    def enlarge_part(
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
        """What `upscale` makes of a rectangle of the picture, without enlarging the rest.

        The same pixels, where the size is a power of the network's factor; elsewhere the grid of the last bicubic may
        lie up to half a pixel beside. Raises `UpscaleError` also when the rectangle does not lie in the picture.
        """
        x, y, wide, high = part
        all_high, all_wide = pixels.shape[:2]
        if min(x, y) < 0 or min(wide, high) < 1 or x + wide > all_wide or y + high > all_high:
            raise UpscaleError(f"the part {x},{y},{wide},{high} does not lie in the picture of {all_wide}×{all_high}")
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
) -> ImageUpscaler:
    """An upscaler for `bicubic`, a name of the zoo, a run directory, a `.safetensors` or `.onnx` file, or a network.

    `backend` makes of the network the one that is run (`nitido.upscaling.backends`); it is told whether PyTorch would
    calculate in bfloat16. Raises `ModelFileError` when
    `model` is none of them.
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
) -> ImageKind:
    """Enlarge `image` by `scale`; without one by the model's own factor. The result is of the same kind.

    `image` is a NumPy uint8 or uint16 array over the full range, `(H, W)` grey, `(H, W, 3)` RGB or `(H, W, 4)` RGB and
    alpha, or a PIL image of mode L, LA, RGB, RGBA or I;16. `model` is `bicubic`, a name of the zoo, a run directory, a
    `.safetensors` file or a network; without one it is the zoo's best for `scale`. `memory` is how many bytes the
    network may work in. Raises `UpscaleError` for other images and scales, `ZooError` when there is none to choose.

    >>> upscale(np.array([[0, 255]], dtype=np.uint8), "bicubic", 2)
    array([[  0,  52, 203, 255],
           [  0,  52, 203, 255]], dtype=uint8)
    """
    target = TargetSize(scale=scale)
    if isinstance(image, Image.Image):
        if image.mode not in ("L", "LA", "RGB", "RGBA", "I;16"):
            raise UpscaleError(f"a PIL image of mode {image.mode}: it must be L, LA, RGB, RGBA or I;16; convert it")
        samples: Pixels = np.asarray(image)
    else:
        samples = image
    chosen = choose_default(scale) if model is None else model
    upscaler = load_upscaler(chosen, self_ensemble=self_ensemble, memory=memory)
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


def _split(samples: Pixels, two_channels: bool) -> tuple[Pixels, Pixels | None]:
    """Colours `(H, W, C)` and alpha; `two_channels`: grey with alpha is known, too."""
    shape = samples.shape
    channels = shape[2] if samples.ndim == 3 else 1
    known = (1, 2, 3, 4) if two_channels else (3, 4)
    fits = samples.ndim == 2 or (samples.ndim == 3 and channels in known)
    if not fits or samples.size == 0 or samples.dtype not in (np.uint8, np.uint16):
        raise UpscaleError(
            f"a {samples.dtype} array {shape}: it must be uint8 or uint16, (H, W), (H, W, 3) or (H, W, 4)"
        )
    planes = samples.reshape(shape[0], shape[1], channels)
    colours = 1 if channels < 3 else 3
    return planes[:, :, :colours], planes[:, :, colours] if channels > colours else None


def _in_bfloat16(network: SuperResolutionNetwork, precision: Precision, cost_db: Mapping[int, float]) -> bool:
    """Whether `network`, at its scale, calculates in bfloat16."""
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    return not _is_foreign(network) and chooses_bfloat16(precision, cost_db.get(network.scale), device)


def _is_foreign(network: SuperResolutionNetwork) -> bool:
    return any(isinstance(part, ForeignNetwork) for part in network.modules())


def _bicubic(pixels: Pixels, height: int, width: int, context: TilingContext) -> Pixels:
    """MATLAB's bicubic to any size: by exact integers where the factor is one."""
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
    """LR pixels around a part that its enlarged pixels depend on."""
    if network is None:
        return 4
    radius = network.receptive_field_radius
    if radius is None:
        return _PREVIEW_MARGIN
    runs = _runs(network.scale, factor)
    return 4 + sum(ceil(max(radius, 2) / float(network.scale) ** run) for run in range(runs))


def _runs(scale: int, factor: float) -> int:
    """How often a network that enlarges by `scale` must run for `factor`."""
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
