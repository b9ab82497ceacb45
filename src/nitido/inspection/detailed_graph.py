"""Every operation of a network as a graph, where Graphviz is installed."""

import shutil
from pathlib import Path

from torchview import draw_graph

from nitido.architectures import SuperResolutionNetwork
from nitido.atomic import write_bytes
from nitido.inspection.meta import meta_copy, meta_picture


def draw_detailed_graph(network: SuperResolutionNetwork, path: Path, lr_size: tuple[int, int] = (48, 48)) -> bool:
    """Draw torchview's graph of `network` at an LR input of `lr_size` (height, width) as SVG to `path`.

    Returns False, and draws nothing, when Graphviz's `dot` is not on the PATH; `draw_diagram` needs no Graphviz.
    """
    if shutil.which("dot") is None:
        return False
    picture = meta_picture(network.channels, *lr_size)
    graph = draw_graph(meta_copy(network), input_data=picture, device="meta", expand_nested=True, depth=4)
    write_bytes(path, graph.visual_graph.pipe(format="svg"))
    return True
