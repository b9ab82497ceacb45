"""Draws every operation of a network as a graph with Graphviz."""

import shutil
from pathlib import Path

from nitido.architectures import SuperResolutionNetwork
from nitido.base.atomic import write_bytes
from nitido.base.errors import NitidoError
from nitido.base.programs import ProgramError, run_program
from nitido.inspection.meta_tensors import meta_copy, meta_image

DOT_SECONDS = 10.0
"""Time limit for Graphviz in seconds; the graph of the largest published network takes about three."""


class DrawingError(NitidoError):
    """A graph cannot be drawn; the message says why."""


def draw_detailed_graph(network: SuperResolutionNetwork, path: Path, lr_size: tuple[int, int] = (48, 48)) -> bool:
    """Draw torchview's graph of `network` as SVG.

    Args:
        network: The network.
        path: The SVG file.
        lr_size: Height and width of the LR input.

    Returns:
        False if Graphviz's `dot` is not on the PATH; nothing is drawn then. `draw_diagram` does not need Graphviz.

    Raises:
        DrawingError: `dot` fails, exceeds the time limit, or does not output SVG.
    """
    program = shutil.which("dot")
    if program is None:
        return False
    from torchview import draw_graph

    image = meta_image(network.channels, *lr_size)
    graph = draw_graph(meta_copy(network), input_data=image, device="meta", expand_nested=True, depth=4)
    try:
        drawn = run_program([program, "-Tsvg"], DOT_SECONDS, graph.visual_graph.source.encode())
    except ProgramError as error:
        raise DrawingError(f"Graphviz ({error})") from None
    if b"<svg" not in drawn or not drawn.rstrip().endswith(b"</svg>"):
        raise DrawingError(f"Graphviz ({program}: its output is no SVG)")
    write_bytes(path, drawn)
    return True
