"""A readable block diagram of a network, as SVG and PNG, drawn by matplotlib alone."""

import io
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from nitido.architectures import SuperResolutionNetwork, count_parameters
from nitido.atomic import write_bytes
from nitido.inspection.data_flow import Block, Kind, data_flow
from nitido.inspection.layout import Arrow, Box, Layout, Measure, lay_out
from nitido.matplotlib_style import FONT, default_style

_HEADING, _DETAIL, _LABEL, _TITLE = 9.5, 8.0, 7.5, 12.0  # font sizes in points
_LINE_HEIGHT = 0.165  # of a box's text, inches
_HEADING_GAP = 0.04  # below a box's heading, inches
_PADDING = 0.13  # between a box's edge and its text, inches
_SUM_DIAMETER = 0.3
_MARGIN = 0.25  # around the whole drawing, inches
_INK, _QUIET = "#1f2933", "#52606d"
_DPI = 200

_COLOURS: dict[Kind, tuple[str, str]] = {  # fill, edge
    "input": ("#f1f3f5", "#7b8794"),
    "output": ("#f1f3f5", "#7b8794"),
    "convolution": ("#dbeafe", "#2563a8"),
    "upsampling": ("#fde8d0", "#c26a12"),
    "bicubic": ("#fdf3c8", "#a8861b"),
    "sum": ("#ffffff", "#1f2933"),
    "block": ("#e9e1f8", "#6d46b0"),
    "other": ("#dcf2e4", "#2f7d4f"),
}


def draw_diagram(network: SuperResolutionNetwork, svg_path: Path, png_path: Path, title: str) -> None:
    """Draw the data flow of `network` to `svg_path` and `png_path`.

    Every box tells the operation, channels in and out, and parameters; the output's channels and size (in units of the
    LR picture's h and w) stand under the arrow that leaves it. The picture is traced from the network itself.
    """
    with default_style():
        figure = _draw(lay_out(data_flow(network), Measure(_box_size, _label_width)), title, _subtitle(network))
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Title": title})
        figure.savefig(png, format="png", dpi=_DPI, metadata={"Title": title})
    write_bytes(svg_path, svg.getvalue())
    write_bytes(png_path, png.getvalue())


def _subtitle(network: SuperResolutionNetwork) -> str:
    radius = network.receptive_field_radius
    sees = "the whole picture" if radius is None else f"{2 * radius + 1}×{2 * radius + 1} LR pixels"
    colours = "Y" if network.channels == 1 else "RGB"
    return f"×{network.scale} · {colours} · {count_parameters(network):,} parameters · sees {sees}"


def _text(block: Block) -> list[str]:
    """The lines inside a box, the heading first."""
    repeats = f"{block.repeats} × " if block.repeats > 1 else ""
    parameters = [f"{block.parameters:,} parameters"] if block.parameters else []
    return [repeats + block.lines[0], *block.lines[1:], *parameters]


def _box_size(block: Block) -> tuple[float, float]:
    if block.kind == "sum":
        return _SUM_DIAMETER, _SUM_DIAMETER
    heading, *details = _text(block)
    widths = [_text_width(heading, _HEADING, "bold"), *(_text_width(line, _DETAIL, "normal") for line in details)]
    return max(widths) + 2 * _PADDING, _text_height(1 + len(details)) + 2 * _PADDING


def _text_height(lines: int) -> float:
    return _LINE_HEIGHT * lines + (_HEADING_GAP if lines > 1 else 0.0)


def _label_width(label: str) -> float:
    return _text_width(label, _LABEL, "normal")


@cache
def _text_width(text: str, size: float, weight: str) -> float:
    """Width in inches."""
    outline = TextPath((0, 0), text, size=size, prop=FontProperties(family=FONT, weight=weight))
    return float(outline.get_extents().width) / 72


def _draw(layout: Layout, title: str, subtitle: str) -> Figure:
    left = min(box.x - box.width / 2 for box in layout.boxes) - _MARGIN
    content_right = max(box.x + box.width / 2 for box in layout.boxes)
    heading_right = left + _MARGIN + max(_text_width(title, _TITLE, "bold"), _text_width(subtitle, _DETAIL, "normal"))
    right = max(content_right, heading_right) + _MARGIN
    bottom = min(box.y - box.height / 2 for box in layout.boxes) - _MARGIN
    ceiling = max([box.top for box in layout.boxes] + [y for arrow in layout.arrows for _, y in arrow.points])
    top = ceiling + 0.85

    figure = Figure(figsize=(right - left, top - bottom), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    axes.text(left + _MARGIN, top - 0.22, title, size=_TITLE, weight="bold", color=_INK, va="top")
    axes.text(left + _MARGIN, top - 0.46, subtitle, size=_DETAIL, color=_QUIET, va="top")
    for arrow in layout.arrows:
        _draw_arrow(axes, arrow)
    for x, y in layout.taps:
        axes.add_patch(Circle((x, y), 0.03, color=_INK, zorder=3))
    for label in layout.labels:
        axes.text(label.x, label.y, label.text, size=_LABEL, color=_QUIET, ha="center", va="top")
    for box in layout.boxes:
        _draw_box(axes, box)
    return figure


def _draw_arrow(axes: Any, arrow: Arrow) -> None:
    axes.add_patch(
        FancyArrowPatch(
            path=Outline(arrow.points),
            arrowstyle="-|>,head_length=4,head_width=2",
            mutation_scale=1.6,
            linewidth=1.1,
            color=_INK,
            shrinkA=0,
            shrinkB=0,
            joinstyle="round",
            zorder=2,
        )
    )


def _draw_box(axes: Any, box: Box) -> None:
    fill, edge = _COLOURS[box.block.kind]
    if box.block.kind == "sum":
        axes.add_patch(Circle((box.x, box.y), box.width / 2, facecolor=fill, edgecolor=edge, linewidth=1.2, zorder=4))
        axes.text(box.x, box.y, "+", size=13, color=_INK, ha="center", va="center_baseline", zorder=5)
        return
    for offset in (0.08, 0.04, 0.0) if box.block.repeats > 1 else (0.0,):
        axes.add_patch(_rounded(box, offset, fill, edge))
    lines = _text(box.block)
    middle_of_first = box.y + _text_height(len(lines)) / 2 - _LINE_HEIGHT / 2
    for index, line in enumerate(lines):
        y = middle_of_first - index * _LINE_HEIGHT - (_HEADING_GAP if index else 0.0)
        size, weight, colour = (_HEADING, "bold", _INK) if index == 0 else (_DETAIL, "normal", _QUIET)
        axes.text(box.x, y, line, size=size, weight=weight, color=colour, ha="center", va="center_baseline", zorder=5)


def _rounded(box: Box, offset: float, fill: str, edge: str) -> FancyBboxPatch:
    corner = box.height / 2 if box.block.kind in ("input", "output") else 0.06
    return FancyBboxPatch(
        (box.x - box.width / 2 + offset, box.y - box.height / 2 + offset),
        box.width,
        box.height,
        boxstyle=f"round,pad=0,rounding_size={corner}",
        facecolor=fill,
        edgecolor=edge,
        linewidth=1.2,
        zorder=4,
    )
