"""Transparent images: colors of transparent pixels, and images on a plain background color."""

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
    """Return `pixels` `(H, W, C)` in which fully transparent pixels have the color of the nearest visible one.

    `workspace` allocates the result, which is `pixels` itself if nothing changes.

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
    """Return the color with a CSS name or code; raise `NitidoError` for any other text and for transparent colors.

    >>> parsed_color("white"), parsed_color("#08f")
    ((255, 255, 255), (0, 136, 255))
    """
    try:
        color = ImageColor.getrgb(text.strip())
    except ValueError:
        raise NitidoError(f"--background {text}: expected a color such as white, black or #d0e0ff") from None
    if len(color) != 3:
        raise NitidoError(f"--background {text}: the background must be opaque")
    return color


def without_opaque_alpha(photo: ImageWithMetadata) -> ImageWithMetadata:
    """Return `photo` without its alpha channel if every pixel is opaque, as in most screenshots; else as it is."""
    if photo.alpha is None or photo.alpha.min() < np.iinfo(photo.alpha.dtype).max:
        return photo
    return replace(photo, alpha=None)


def flattened(photo: ImageWithMetadata, background: Color, workspace: Workspace) -> ImageWithMetadata:
    """Return `photo` on `background` without transparency; an opaque image is returned unchanged.

    The background's values are interpreted in the image's own color space; a gray image gets its BT.601 luma. A note
    reports this. `workspace` allocates the result.
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
    note = f"transparent parts were blended with #{bytes(background).hex()}"
    return replace(photo, pixels=pixels, alpha=None, notes=(*photo.notes, note))
