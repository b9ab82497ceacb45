"""Every operation of a network as a graph, where Graphviz is installed."""

import shutil
from pathlib import Path

from nitido.architectures import SuperResolutionNetwork
from nitido.base.atomic import write_bytes
from nitido.base.errors import NitidoError
from nitido.base.programs import ProgramError, run_program
from nitido.inspection.meta_tensors import meta_copy, meta_picture

DOT_SECONDS = 10.0
"""Seconds that Graphviz may take; the graph of the largest published network needs about three."""


class DrawingError(NitidoError):
    """A graph cannot be drawn; the message says why."""


def draw_detailed_graph(network: SuperResolutionNetwork, path: Path, lr_size: tuple[int, int] = (48, 48)) -> bool:
    """Draw torchview's graph of `network` at an LR input of `lr_size` (height, width) as SVG to `path`.

    Returns False, and draws nothing, when Graphviz's `dot` is not on the PATH; `draw_diagram` needs no Graphviz. Raises
    `DrawingError` when `dot` fails, does not end in time, or gives something else than SVG.
    """
    program = shutil.which("dot")
    if program is None:
        return False
    from torchview import draw_graph

    picture = meta_picture(network.channels, *lr_size)
    graph = draw_graph(meta_copy(network), input_data=picture, device="meta", expand_nested=True, depth=4)
    try:
        drawn = run_program([program, "-Tsvg"], DOT_SECONDS, graph.visual_graph.source.encode())
    except ProgramError as error:
        raise DrawingError(f"Graphviz ({error})") from None
    if b"<svg" not in drawn or not drawn.rstrip().endswith(b"</svg>"):
        raise DrawingError(f"Graphviz ({program}: its output is no SVG)")
    write_bytes(path, drawn)
    return True
