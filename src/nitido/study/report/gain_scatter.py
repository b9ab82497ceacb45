"""Draw how the gain on each image depends on its content."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import rankdata

from nitido.base.atomic import replacing
from nitido.base.matplotlib_style import default_style
from nitido.study.gains_by_content import SIGNIFICANT, ContentStudy

_INK, _MUTED, _GRID, _POINT, _LINE = "#1b1f24", "#5b6570", "#e6e9ec", "#0072b2", "#d55e00"
_COLUMNS = 3


@default_style()
def draw_content(found: ContentStudy, path: Path) -> None:
    """Draw the gain on each image against each descriptor to the PNG `path`, one panel per descriptor, strongest first.

    The horizontal axis is the rank of the descriptor among the images, because the correlation is a rank correlation.
    A line is drawn if the correlation is significant.
    """
    rows = -(-len(found.relations) // _COLUMNS)
    figure = Figure(figsize=(11, 1.1 + 2.7 * rows), dpi=150, layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False).ravel()
    for axes, relation in zip(panels, found.relations, strict=False):
        ranks = rankdata(found.descriptors[relation.descriptor]) / len(found.gains)
        axes.scatter(ranks, found.gains, s=14, color=_POINT, alpha=0.65, linewidths=0)
        axes.axhline(0, color=_MUTED, linewidth=0.8)
        certain = relation.p_value < SIGNIFICANT
        if certain:
            slope, intercept = np.polyfit(ranks, found.gains, 1)
            axes.plot([0, 1], [intercept, intercept + slope], color=_LINE, linewidth=1.8)
        verdict = f"{relation.correlation:+.2f}" + ("" if certain else " (not significant)")
        axes.set_title(f"{relation.descriptor}: {verdict}", fontsize=10, color=_INK, loc="left")
        axes.set_xlabel("images, from lowest to highest", fontsize=8, color=_MUTED)
        axes.tick_params(labelsize=8, colors=_MUTED, length=0)
        axes.grid(color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
    for axes in panels[len(found.relations) :]:
        axes.set_axis_off()
    figure.supylabel(f"gain over {found.base} in dB", fontsize=9, color=_MUTED, parse_math=False)
    FigureCanvasAgg(figure)
    with replacing(path) as draft:
        figure.savefig(draft, format="png", facecolor="white")
