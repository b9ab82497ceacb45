from itertools import combinations, pairwise
from typing import get_args

import pytest
import torch

from nitido.architectures import architecture_names, build, get_architecture, resolve_config
from nitido.architectures.upsamplers import UpsamplerName
from nitido.base.errors import NitidoError
from nitido.inspection.data_flow import Block, Flow, data_flow
from nitido.inspection.diagram_layout import Box, Layout, Measure, lay_out

MEASURE = Measure(block=lambda block: (0.3, 0.3) if block.kind == "sum" else (1.2, 0.9), label=lambda label: 0.6)


def flow_of(edges: dict[str, tuple[str, ...]]) -> Flow:
    """Blocks by name with the blocks they take; names that start with `add` are sums."""
    return {
        name: Block(name, "sum" if name.startswith("add") else "convolution", (name,), 0, "3 · h×w", inputs)
        for name, inputs in edges.items()
    }


def by_name(layout: Layout) -> dict[str, Box]:
    return {box.block.name: box for box in layout.boxes}


def assert_tidy(layout: Layout) -> None:
    """No two boxes overlap, and no line runs through a box."""
    for one, other in combinations(layout.boxes, 2):
        apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2
        apart_y = abs(one.y - other.y) >= (one.height + other.height) / 2
        assert apart_x or apart_y, (one.block.name, other.block.name)
    for arrow in layout.arrows:
        for (x0, y0), (x1, y1) in pairwise(arrow.points):
            assert x0 == x1 or y0 == y1, "lines are horizontal or vertical"
            for box in layout.boxes:
                inside_x = max(x0, x1) > box.x - box.width / 2 + 1e-9 and min(x0, x1) < box.x + box.width / 2 - 1e-9
                inside_y = max(y0, y1) > box.y - box.height / 2 + 1e-9 and min(y0, y1) < box.top - 1e-9
                assert not (inside_x and inside_y), box.block.name


@pytest.mark.parametrize(
    ("architecture", "variant"),
    [(name, variant) for name in architecture_names() for variant in get_architecture(name).variants],
)
def test_every_variant_is_tidy(architecture: str, variant: str) -> None:
    assert_drawn_tidily(architecture, variant, {})


@pytest.mark.parametrize("architecture", architecture_names())
@pytest.mark.parametrize("upsampler", get_args(UpsamplerName))
@pytest.mark.parametrize("residual", [False, True])
def test_every_upsampler_is_tidy(architecture: str, upsampler: str, residual: bool) -> None:
    wide = {"widths": (4, 16)} if architecture == "srcnn" else {"width": 16}
    assert_drawn_tidily(architecture, "debug", {"upsampler": upsampler, "residual": residual, "scale": 4, **wide})


def assert_drawn_tidily(architecture: str, variant: str, overrides: dict[str, object]) -> None:
    with torch.device("meta"):
        flow = data_flow(build(architecture, resolve_config(architecture, variant, overrides)))
    layout = lay_out(flow, MEASURE)
    assert set(by_name(layout)) == set(flow)
    assert_tidy(layout)
    for longest in (6.0, 9.0, 13.0):
        wrapped = lay_out(flow, MEASURE, longest)
        assert set(by_name(wrapped)) == set(flow)
        assert_tidy(wrapped)
        assert len(wrapped.labels) == len(layout.labels)
        row = [box for box in wrapped.boxes if box.y == 0]
        assert max(box.right[0] for box in row) - min(box.left[0] for box in row) <= longest


def test_a_long_row_becomes_several_whose_skips_do_not_share_lines() -> None:
    names = [f"n{i}" for i in range(12)]
    edges: dict[str, tuple[str, ...]] = {"in": ()}
    for name, before in zip(names, ["in", *names], strict=False):
        edges[name] = (before,)
    edges |= {"add_1": ("n11", "n1"), "add_2": ("add_1", "in"), "out": ("add_2",)}
    layout = lay_out(flow_of(edges), MEASURE, 8.0)
    assert_tidy(layout)
    boxes = by_name(layout)
    assert boxes["in"].y > boxes["n6"].y > boxes["out"].y
    assert boxes["in"].x == pytest.approx(boxes["in"].width / 2), "rows begin at the same place"
    upright = [
        (x0, *sorted((y0, y1))) for arrow in layout.arrows for (x0, y0), (x1, y1) in pairwise(arrow.points) if x0 == x1
    ]
    for (x, low, high), (other, its_low, its_high) in combinations(upright, 2):
        assert x != other or high <= its_low or its_high <= low, "two lines run on top of each other"


def test_nested_skips_are_above_one_another() -> None:
    edges = {"in": (), "side": ("in",), "a": ("in",), "b": ("a",), "add_1": ("b", "a"), "c": ("add_1",)}
    edges |= {"add_2": ("c", "side"), "out": ("add_2",)}
    layout = lay_out(flow_of(edges), MEASURE)
    assert_tidy(layout)
    boxes = by_name(layout)
    assert {boxes[name].y for name in edges if name != "side"} == {0.0}
    inner = next(arrow for arrow in layout.arrows if len(arrow.points) == 4)
    side = boxes["side"]
    assert side.y - side.height / 2 - 0.1 > inner.points[1][1] > boxes["a"].top + 0.1, "with air between them"
    assert len(layout.taps) == 2


def test_skips_that_do_not_overlap_share_a_lane() -> None:
    edges = {"in": (), "a": ("in",), "add_1": ("a", "in"), "b": ("add_1",), "add_2": ("b", "add_1"), "out": ("add_2",)}
    layout = lay_out(flow_of(edges), MEASURE)
    assert_tidy(layout)
    heights = {arrow.points[1][1] for arrow in layout.arrows if len(arrow.points) == 4}
    assert len(heights) == 1


def test_arrows_are_long_enough_for_their_labels() -> None:
    layout = lay_out(flow_of({"in": (), "a": ("in",), "out": ("a",)}), Measure(MEASURE.block, lambda label: 2.0))
    assert min(arrow.points[1][0] - arrow.points[0][0] for arrow in layout.arrows) > 2.0


def test_a_branch_within_a_branch_is_refused() -> None:
    edges = {"in": (), "a": ("in",), "b": ("a",), "c": ("b",), "d": ("c",)}
    edges |= {"e": ("in",), "f": ("e",), "g": ("e",), "add": ("d", "f", "g"), "out": ("add",)}
    with pytest.raises(NitidoError, match="branch within a branch"):
        lay_out(flow_of(edges), MEASURE)
