"""Draws a readable block diagram of a network as SVG and PNG with matplotlib."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from nitido.architectures import SuperResolutionNetwork, count_parameters
from nitido.base.atomic import write_bytes
from nitido.base.matplotlib_style import FONT, default_style
from nitido.inspection.data_flow import Block, Kind, OpenBlock, data_flow_and_open_blocks
from nitido.inspection.diagram_layout import Arrow, Box, Layout, LayoutError, Measure, lay_out, moved

_HEADING, _DETAIL, _LABEL, _TITLE = 9.5, 8.0, 7.5, 12.0  # font sizes in points
_LINE_HEIGHT = 0.165  # height of a text line in a box, inches
_HEADING_GAP = 0.04  # below a box's heading, inches
_PADDING = 0.13  # between a box's edge and its text, inches
_SUM_DIAMETER = 0.3
_MARGIN = 0.25  # around the whole drawing, inches
_INK, _QUIET = "#1f2933", "#52606d"
_DPI = 200
_PANEL_GAP = 0.22  # between the network and the insides of its blocks, inches
_FRAME_HEADING = 0.42  # from a frame's upper edge to its drawing, inches
_FRAME = _FRAME_HEADING + 0.16  # additional height of a frame, inches
_LONGEST_ROW = 13.5  # inches; at a width of 1,400 pixels, the smallest text is about ten pixels high
_NARROWEST = 5.0  # minimum width of the lines of changed fields, inches
_NOTHING = Layout((), (), (), ())

_COLORS: dict[Kind, tuple[str, str]] = {  # fill, edge
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

    Every box shows the operation, its input and output channels and its parameters. The label under an arrow is the
    output's channels and size (in units of the LR image's h and w). The data flow is traced from the network itself.
    Panels below it show the inside of each kind of block. Lines above it list the fields of the configuration that
    differ from their defaults.
    """
    with default_style():
        measure = Measure(_box_size, _label_width)
        whole, blocks = data_flow_and_open_blocks(network)
        flow = lay_out(whole, measure, _LONGEST_ROW)
        panels = [_Panel("", flow), *(_panel(block, measure) for block in blocks)]
        figure = _draw(panels, title, [_subtitle(network), *_changes(network, _width(flow))])
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Title": title})
        figure.savefig(png, format="png", dpi=_DPI, metadata={"Title": title})
    write_bytes(svg_path, svg.getvalue())
    write_bytes(png_path, png.getvalue())


def _subtitle(network: SuperResolutionNetwork) -> str:
    radius = network.receptive_field_radius
    field = "whole image" if radius is None else f"{2 * radius + 1}×{2 * radius + 1} LR pixels"
    colors = "Y" if network.channels == 1 else "RGB"
    return f"×{network.scale} · {colors} · {count_parameters(network):,} parameters · receptive field: {field}"


def _changes(network: SuperResolutionNetwork, width: float) -> list[str]:
    """Return the fields that differ from their defaults, in lines of at most `width` inches where words permit."""
    config = network.config
    names = [name for name, field in type(config).model_fields.items() if getattr(config, name) != field.default]
    words = [f"{name}: {_value(getattr(config, name))}" for name in names]
    lines: list[str] = []
    for word in words:
        joined = f"{lines[-1]} · {word}" if lines else ""
        if joined and _text_width(joined, _DETAIL, "normal") <= max(width, _NARROWEST):
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class _Panel:
    """A part of the drawing: the whole network or the inside of a block. Without a layout, it has only a heading."""

    heading: str
    layout: Layout


def _panel(block: OpenBlock, measure: Measure) -> _Panel:
    heading = f"Inside {' · '.join(block.lines)}"
    try:
        return _Panel(heading, _NOTHING if block.flow is None else lay_out(block.flow, measure, _LONGEST_ROW))
    except LayoutError:
        return _Panel(heading, _NOTHING)


def _text(block: Block) -> list[str]:
    """Return the lines inside a box, the heading first."""
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
    """Return the width in inches."""
    outline = TextPath((0, 0), text, size=size, prop=FontProperties(family=FONT, weight=weight))
    return _outline_width(outline) / 72


def _outline_width(outline: Outline) -> float:
    """Return the width of an outline of lines and quadratic curves, as `get_extents` does, which solves every curve.

    Curves stay between their control points. The glyphs of the font have points at their extrema: if the outermost
    points are ends of curves or lines, they are the extent.
    """
    codes, x = np.asarray(outline.codes), np.asarray(outline.vertices)[:, 0]
    drawn = codes != Outline.CLOSEPOLY
    curves = codes == Outline.CURVE3
    ends = x[drawn & ~(curves & (np.cumsum(curves) % 2 == 1))]  # a quadratic curve is a control point and its end
    low, high = x[drawn].min(), x[drawn].max()
    if (low, high) == (ends.min(), ends.max()) and Outline.CURVE4 not in codes:
        return float(high - low)
    return float(outline.get_extents().width)


def _sides(layout: Layout) -> tuple[float, float]:
    """Return the minimum and maximum x of a layout."""
    points = [x for arrow in layout.arrows for x, _ in arrow.points]
    edges = [x for box in layout.boxes for x in (box.left[0], box.right[0])]
    return min([*points, *edges], default=0.0), max([*points, *edges], default=0.0)


def _width(layout: Layout) -> float:
    left, right = _sides(layout)
    return right - left


def _ends(layout: Layout) -> tuple[float, float]:
    """Return the minimum and maximum y of a layout."""
    if not layout.boxes:
        return 0.0, 0.0
    lowest = min([box.y - box.height / 2 for box in layout.boxes] + [label.y - _LINE_HEIGHT for label in layout.labels])
    return lowest, max([box.top for box in layout.boxes] + [y for arrow in layout.arrows for _, y in arrow.points])


def _draw(panels: Sequence[_Panel], title: str, subtitles: Sequence[str]) -> Figure:
    headings = [_text_width(title, _TITLE, "bold"), *(_text_width(line, _DETAIL, "normal") for line in subtitles)]
    headings += [_text_width(panel.heading, _HEADING, "bold") + 2 * _PADDING for panel in panels if panel.heading]
    widths = [_width(panel.layout) + (2 * _PADDING if panel.heading else 0) for panel in panels if panel.layout.boxes]
    right = max(*widths, *headings) + 2 * _MARGIN
    ends = [_ends(panel.layout) for panel in panels]
    frames = [
        top - bottom + (_FRAME if panel.heading else 0.0) for panel, (bottom, top) in zip(panels, ends, strict=True)
    ]
    above = 0.42 + len(subtitles) * 0.19
    height = above + sum(frames) + _PANEL_GAP * (len(panels) - 1) + 2 * _MARGIN

    figure = Figure(figsize=(right, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, right), ylim=(-height, 0))
    axes.set_axis_off()
    axes.text(_MARGIN, -0.22, title, size=_TITLE, weight="bold", color=_INK, va="top")
    for index, line in enumerate(subtitles):
        axes.text(_MARGIN, -0.46 - 0.19 * index, line, size=_DETAIL, color=_QUIET, va="top")
    y = -_MARGIN - above
    for panel, (_, top), frame in zip(panels, ends, frames, strict=True):
        if panel.heading:
            _draw_frame(axes, panel, (_MARGIN, y, right - 2 * _MARGIN, frame))
        first, _ = _sides(panel.layout)
        inset = (_PADDING, _FRAME_HEADING) if panel.heading else (0.0, 0.0)
        _draw_layout(axes, moved(panel.layout, _MARGIN + inset[0] - first, y - inset[1] - top))
        y -= frame + _PANEL_GAP
    return figure


def _draw_frame(axes: Any, panel: _Panel, place: tuple[float, float, float, float]) -> None:
    """Draw a frame at `place`: left, top, width and height."""
    left, top, width, height = place
    axes.add_patch(
        FancyBboxPatch(
            (left, top - height),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="#faf8fe",
            edgecolor=_COLORS["block"][1],
            linestyle="--",
            linewidth=0.8,
            zorder=0,
        )
    )
    heading = panel.heading if panel.layout.boxes else f"{panel.heading}: cannot be traced"
    axes.text(left + _PADDING, top - 0.1, heading, size=_HEADING, weight="bold", color=_INK, va="top")


def _draw_layout(axes: Any, layout: Layout) -> None:
    for arrow in layout.arrows:
        _draw_arrow(axes, arrow)
    for x, y in layout.taps:
        axes.add_patch(Circle((x, y), 0.03, color=_INK, zorder=3))
    for label in layout.labels:
        axes.text(label.x, label.y, label.text, size=_LABEL, color=_QUIET, ha="center", va="top")
    for box in layout.boxes:
        _draw_box(axes, box)


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
    fill, edge = _COLORS[box.block.kind]
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
        size, weight, color = (_HEADING, "bold", _INK) if index == 0 else (_DETAIL, "normal", _QUIET)
        axes.text(box.x, y, line, size=size, weight=weight, color=color, ha="center", va="center_baseline", zorder=5)


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
