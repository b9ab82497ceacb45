"""Draw the ranked side-by-side figure: every version as a whole, magnified, and its error map."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from nitido.base.atomic import replacing
from nitido.base.matplotlib_style import default_style
from nitido.evaluation.protocol import decibels
from nitido.imaging import rgb_to_y
from nitido.study.report import ReportError
from nitido.study.report.crop import Box, choose_box, crop_side

COLUMN = 432
"""Width of a panel in pixels; the sides that `crop_side` returns divide half of it."""

_PER_ROW = 5
_GAP, _MARGIN = 24, 36
_HEADER, _TITLE, _CAPTION = 118, 44, 46
_INNER_GAP = 8
_DPI = 128  # a power of two: sizes in inches are exact
_INK, _MUTED, _MARK = "#1b1f24", "#5b6570", (255, 196, 0)
_ERRORS = colormaps["inferno"]

Pixels = NDArray[np.uint8]
_Tiles = list[tuple[int, int, Pixels]]  # left, top and the image to paste there


@dataclass(frozen=True)
class Panel:
    """One version of the image, `(H, W, 3)` uint8; the scores are printed under it unless None."""

    title: str
    image: Pixels
    psnr: float | None
    ssim: float | None


@dataclass(frozen=True)
class _Place:
    """Positions of a panel: its tiles on the canvas, and its left edge, title and caption in pixels."""

    tiles: _Tiles
    left: int
    title: int
    caption: int


@default_style()
def draw_comparison(
    panels: Sequence[Panel], path: Path, *, reference: Pixels | None, heading: str, box: Box | None = None
) -> None:
    """Draw `panels` in their order to the PNG `path`, at most five in a row and 2400 pixels wide.

    Each panel shows the whole image with the outline of the crop, the absolute luma error of the crop against
    `reference` (one scale for all; none for the reference itself) and the magnified crop. `box` defaults to the window
    that `choose_box` returns. Raises `ReportError` if there is nothing to draw or the shapes of the images differ.
    """
    _check(panels, reference, box)
    images = [panel.image for panel in panels]
    if box is None:
        box = choose_box(images, crop_side(*images[0].shape[:2]), reference=reference)
    errors = error_maps(images, reference, box)
    limit = error_limit(errors)
    columns = math.ceil(len(panels) / math.ceil(len(panels) / _PER_ROW))
    cells = [
        _cell(image, box, error, limit, reference is not None) for image, error in zip(images, errors, strict=True)
    ]
    places = _arrange(cells, columns)
    width = 2 * _MARGIN + max(columns, 2) * (COLUMN + _GAP) - _GAP
    height = places[-1].caption + _CAPTION + _MARGIN - _GAP
    figure = _write_texts((width, height), panels, places, heading, box, limit)
    _save(figure, [tile for place in places for tile in place.tiles], path)


def _arrange(cells: Sequence[_Tiles], columns: int) -> list[_Place]:
    """Arrange the cells in a grid, row by row."""
    cell_height = max(top + tile.shape[0] for tiles in cells for _, top, tile in tiles)
    places = []
    for index, tiles in enumerate(cells):
        row, column = divmod(index, columns)
        left = _MARGIN + column * (COLUMN + _GAP)
        title = _HEADER + row * (_TITLE + cell_height + _CAPTION + _GAP)
        shifted = [(left + x, title + _TITLE + y, tile) for x, y, tile in tiles]
        places.append(_Place(shifted, left, title, title + _TITLE + cell_height))
    return places


def error_maps(images: Sequence[Pixels], reference: Pixels | None, box: Box) -> list[NDArray[np.float64] | None]:
    """Return the absolute luma error `(h, w)` inside `box` in units of 1/255; None for or without the reference."""
    if reference is None:
        return [None] * len(images)
    target = rgb_to_y(reference[box.slices])
    return [
        None if np.array_equal(image, reference) else np.abs(rgb_to_y(image[box.slices]) - target) for image in images
    ]


def error_limit(errors: Sequence[NDArray[np.float64] | None]) -> float | None:
    """Return the common upper end of the error maps: the 99.5th percentile of all pixels; None without maps."""
    found = [error.ravel() for error in errors if error is not None]
    return float(max(1, math.ceil(np.percentile(np.concatenate(found), 99.5)))) if found else None


def _check(panels: Sequence[Panel], reference: Pixels | None, box: Box | None) -> None:
    """Raise `ReportError` unless there are panels of one size and `box` is inside them."""
    if not panels:
        raise ReportError("there is no image to compare")
    images = [(panel.title, panel.image) for panel in panels]
    images += [("the reference", reference)] if reference is not None else []
    first = panels[0].image.shape
    size = f"{first[1]}x{first[0]}"
    for title, image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ReportError(f"{title}: expected (H, W, 3) uint8 to compare, got {image.shape} {image.dtype}")
        if image.shape != first:
            raise ReportError(
                f"{title} has {image.shape[1]}x{image.shape[0]} pixels but {panels[0].title} has {size}: "
                "only images of one size can be compared"
            )
    if box is None:
        return
    inside = 0 <= box.left <= first[1] - box.width and 0 <= box.top <= first[0] - box.height
    if not inside or not (1 <= box.width <= COLUMN and 1 <= box.height <= COLUMN):
        raise ReportError(
            f"the crop {box.width}x{box.height} at ({box.left}, {box.top}) must be inside the image of "
            f"{size} pixels and be at most {COLUMN}x{COLUMN}"
        )


def _cell(image: Pixels, box: Box, error: NDArray[np.float64] | None, limit: float | None, with_errors: bool) -> _Tiles:
    """Return the tiles of a panel relative to its corner: overview and error map side by side, the crop below."""
    half = COLUMN // 2
    if with_errors:
        overview = _overview(image, box, half - _INNER_GAP, half)
    else:
        overview = _overview(image, box, COLUMN, COLUMN * 3 // 4)
    upper = half if with_errors else overview.shape[0]
    tiles = [(0 if with_errors else (COLUMN - overview.shape[1]) // 2, (upper - overview.shape[0]) // 2, overview)]
    if error is not None and limit is not None:
        colored = (_ERRORS(np.clip(error / limit, 0, 1))[..., :3] * 255).round().astype(np.uint8)
        shown = _resized(colored, half / max(error.shape))
        tiles.append((COLUMN - shown.shape[1], 0, shown))
    tiles.append((0, upper + _INNER_GAP, magnify(image[box.slices], COLUMN // max(box.width, box.height))))
    return tiles


def magnify(image: Pixels, factor: int) -> Pixels:
    """Return `image` `(H, W, 3)` with every pixel as a square of `factor` x `factor`."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def _overview(image: Pixels, box: Box, width: int, height: int) -> Pixels:
    """Return the whole image reduced to fit `width` x `height`, with `box` outlined."""
    ratio = min(width / image.shape[1], height / image.shape[0])
    small = _resized(image, ratio)
    for thickness, color in ((3, (0, 0, 0)), (2, _MARK)):
        _outline(small, box, ratio, thickness, color)
    return small


def _outline(image: Pixels, box: Box, ratio: float, thickness: int, color: tuple[int, int, int]) -> None:
    """Draw the frame of `box`, scaled by `ratio`, outside its edge onto `image`."""
    top, bottom = round(box.top * ratio), round((box.top + box.height) * ratio)
    left, right = round(box.left * ratio), round((box.left + box.width) * ratio)
    frame = np.zeros(image.shape[:2], bool)
    frame[max(0, top - thickness) : bottom + thickness, max(0, left - thickness) : right + thickness] = True
    frame[max(1, top) : min(bottom, image.shape[0] - 1), max(1, left) : min(right, image.shape[1] - 1)] = False
    image[frame] = color


def _resized(image: Pixels, ratio: float) -> Pixels:
    """Resize by `ratio`: Lanczos to reduce, nearest neighbor to magnify."""
    resampling = Image.Resampling.LANCZOS if ratio < 1 else Image.Resampling.NEAREST
    size = (max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio)))
    return np.array(Image.fromarray(image).resize(size, resampling))


def _write_texts(
    size: tuple[int, int],
    panels: Sequence[Panel],
    places: Sequence[_Place],
    heading: str,
    box: Box,
    limit: float | None,
) -> Figure:
    """Return a white figure of `size` (width, height in pixels) with all texts; the tiles are missing."""
    width, height = size
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    writer = _Writer(figure, height)
    writer.write(heading, _MARGIN, 50, 30, max_width=width - 2 * _MARGIN, weight="bold")
    factor = COLUMN // max(box.width, box.height)
    note = f"crop {box.width} × {box.height} px at ({box.left}, {box.top}), magnified ×{factor}"
    writer.write(note, _MARGIN, 88, 17, max_width=COLUMN, color=_MUTED)
    if limit is not None:
        _color_bar(figure, writer, height, limit)
    best_psnr = max((panel.psnr for panel in panels if panel.psnr is not None), default=None)
    best_ssim = max((panel.ssim for panel in panels if panel.ssim is not None), default=None)
    for panel, place in zip(panels, places, strict=True):
        writer.write(panel.title, place.left, place.title + 30, 21, max_width=COLUMN, weight="bold")
        end = float(place.left)
        for text, best in ((_psnr(panel.psnr), _psnr(best_psnr)), (_ssim(panel.ssim), _ssim(best_ssim))):
            if text:
                text = " · " * (end > place.left) + text
                weight = "bold" if text.endswith(best) else "normal"
                end = writer.write(text, end, place.caption + 30, 20, max_width=COLUMN, weight=weight)
    return figure


def _psnr(value: float | None) -> str:
    return f"PSNR {decibels(value)} dB" if value is not None else ""


def _ssim(value: float | None) -> str:
    return f"SSIM {value:.4f}" if value is not None else ""


def _color_bar(figure: Figure, writer: "_Writer", height: int, limit: float) -> None:
    """Draw the common color bar of the error maps, right of the note on the crop."""
    left = float(_MARGIN + COLUMN + _GAP)
    left = writer.write("luma error  0 ", left, 88, 17, max_width=COLUMN, color=_MUTED)
    strip = (_ERRORS(np.tile(np.linspace(0, 1, 120), (16, 1)))[..., :3] * 255).round().astype(np.uint8)
    figure.figimage(strip, int(left), height - 90, origin="upper")
    writer.write(f" ≥ {limit:.0f} of 255", left + 120, 88, 17, max_width=COLUMN, color=_MUTED)


class _Writer:
    """Writer of text at pixel positions from the top left corner, shrunk to fit the available width."""

    def __init__(self, figure: Figure, height: int) -> None:
        self.figure = figure
        self.height = height

    def write(
        self,
        text: str,
        left: float,
        baseline: float,
        size: float,
        *,
        max_width: float,
        weight: str = "normal",
        color: str = _INK,
    ) -> float:
        """Write `text` at most `max_width` pixels wide in font size `size` or smaller; return its right end."""
        label: Text = self.figure.text(
            left / self.figure.bbox.width,
            1 - baseline / self.height,
            text,
            fontsize=size * 72 / _DPI,
            fontweight=weight,
            color=color,
            va="baseline",
            parse_math=False,
        )
        wide = label.get_window_extent().width
        while wide > max_width and size > 2:  # hinting: the width is not proportional to the font size
            size *= min(max_width / wide, 0.98)
            label.set_fontsize(size * 72 / _DPI)
            wide = label.get_window_extent().width
        return left + float(wide)


def _save(figure: Figure, tiles: _Tiles, path: Path) -> None:
    """Write the figure with `tiles` pasted into it as a PNG without an alpha channel, atomically."""
    pixels = BytesIO()
    figure.savefig(pixels, format="rgba", dpi=_DPI, facecolor="white")
    size = (round(figure.bbox.width), round(figure.bbox.height))
    image = Image.frombytes("RGBA", size, pixels.getvalue()).convert("RGB")
    for left, top, tile in tiles:
        image.paste(Image.fromarray(tile), (left, top))
    with replacing(path) as draft:
        image.save(draft, format="PNG")
