"""Transparent images: colors under transparent pixels, and images on a plain background color."""

from dataclasses import replace

import numpy as np
from PIL import ImageColor
from scipy import ndimage

from nitido.base.errors import NitidoError
from nitido.imaging.files import Pixels
from nitido.upscaling.images.image_with_metadata import ImageWithMetadata
from nitido.upscaling.workspace import Workspace, bands

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

_STRIP = 2**20  # samples that are processed at once
_LUMA = (0.299, 0.587, 0.114)


def bleed_colors(pixels: Pixels, alpha: Pixels, workspace: Workspace | None = None) -> Pixels:
    """`pixels` `(H, W, C)` with every wholly transparent one given the colour of the nearest that is not.

    The result is made by `workspace`, or is `pixels` where nothing is to be done.

    >>> colors, alpha = np.array([[[9], [0], [0]]], dtype=np.uint8), np.array([[255, 0, 0]], dtype=np.uint8)
    >>> bleed_colors(colors, alpha).ravel().tolist()
    [9, 9, 9]
    """
    workspace = workspace or Workspace()
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    nearest = workspace.empty((2, *hidden.shape), np.int32)
    ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True, indices=nearest)
    result = workspace.like(pixels)
    for band in bands(pixels.shape, _STRIP, workspace):
        rows, columns = nearest[:, band]
        result[band] = pixels[rows, columns]
    return result


def parsed_color(text: str) -> Color:
    """Return the color that `text` names as CSS does; raises `NitidoError` for any other text, and for half a color.

    >>> parsed_color("white"), parsed_color("#08f")
    ((255, 255, 255), (0, 136, 255))
    """
    try:
        color = ImageColor.getrgb(text.strip())
    except ValueError:
        raise NitidoError(f"--background {text}: expected a color such as white, black or #d0e0ff") from None
    if len(color) != 3:
        raise NitidoError(f"--background {text}: a background cannot be transparent itself")
    return color


def without_opaque_alpha(photo: ImageWithMetadata) -> ImageWithMetadata:
    """Return `photo` without its alpha channel if every pixel is opaque, as in most screenshots; else as it is."""
    if photo.alpha is None or photo.alpha.min() < np.iinfo(photo.alpha.dtype).max:
        return photo
    return replace(photo, alpha=None)


def flattened(photo: ImageWithMetadata, background: Color, workspace: Workspace) -> ImageWithMetadata:
    """Return `photo` without transparency, on `background`; an opaque one as it is.

    The numbers of the background are taken in the picture's own color space; a grey picture gets its BT.601 luma. A
    note says so. The result is made by `workspace`.
    """
    if photo.alpha is None:
        return photo
    largest = np.iinfo(photo.pixels.dtype).max
    grey = photo.pixels.shape[2] == 1
    channels = [sum(weight * value for weight, value in zip(_LUMA, background, strict=True))] if grey else background
    below = np.array([round(value * largest / 255) for value in channels], np.uint64)
    pixels = workspace.like(photo.pixels)
    for band in bands(pixels.shape, _STRIP, workspace):
        alpha = photo.alpha[band][:, :, None].astype(np.uint64)
        pixels[band] = (photo.pixels[band] * alpha + below * (largest - alpha) + largest // 2) // largest
    note = f"transparent parts lie on #{bytes(background).hex()} now"
    return replace(photo, pixels=pixels, alpha=None, notes=(*photo.notes, note))
