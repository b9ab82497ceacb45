"""Where the blocks and arrows of a diagram lie: pure geometry, in inches, x to the right and y upwards."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from nitido.errors import NitidoError
from nitido.inspection.data_flow import Block, Flow, users

_LANE_GAP = 0.3  # free height between two lanes
_LABEL_MARGIN = 0.16  # free width on either side of a label under an arrow
_SHORTEST_ARROW = 0.45
_LABEL_DROP = 0.06  # from an arrow down to its label
_TAP_DISTANCE = 0.16  # how far behind its source a skip leaves the line

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A placed block: its centre and its size."""

    block: Block
    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        """Where an arrow from the left arrives."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        """Where an arrow to the right leaves."""
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> float:
        """The height of its upper edge."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Arrow:
    """A line along `points` with a head at its end."""

    points: tuple[Point, ...]


@dataclass(frozen=True)
class Label:
    """A text whose upper edge is centred on `(x, y)`."""

    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Layout:
    """A complete drawing; `taps` are the points where a skip connection leaves a line."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    labels: tuple[Label, ...]
    taps: tuple[Point, ...]


@dataclass(frozen=True)
class Measure:
    """How large things are drawn: a block's (width, height), a label's width."""

    block: Callable[[Block], tuple[float, float]]
    label: Callable[[str], float]


@dataclass(frozen=True)
class _Skip:
    """A path off the main row: from `source` through `blocks` (none: a bare line) to `target`."""

    source: str
    blocks: tuple[str, ...]
    target: str


def lay_out(flow: Flow, measure: Measure) -> Layout:
    """Place the longest path of `flow` on one row and every other path as a skip connection in a lane above it.

    Shorter skips lie lower, so that nested ones do not cross; skips share a lane only where they are apart.
    """
    main = _longest_path(flow)
    boxes = _place_row(flow, main, measure)
    pairs = list(pairwise(main))
    arrows = [Arrow((boxes[one].right, boxes[other].left)) for one, other in pairs]
    labels = [_label_after(boxes[one], boxes[other].left[0] - boxes[one].right[0]) for one, other in pairs]
    taps: set[Point] = set()

    floor = max(box.top for box in boxes.values())
    for lane in _lanes(flow, main):
        height = max((measure.block(flow[name])[1] for skip in lane for name in skip.blocks), default=0.0)
        y = floor + _LANE_GAP + height / 2
        for skip in lane:
            start = boxes[skip.source].right[0] + _TAP_DISTANCE, boxes[skip.source].y
            end = boxes[skip.target].x, boxes[skip.target].top
            placed = _place_on_lane(flow, skip, start[0], end[0], y, measure)
            boxes |= {box.block.name: box for box in placed}
            arrows += _route(placed, start, end, y)
            labels += [_label_after(box, measure.label(box.block.shape) + 2 * _LABEL_MARGIN) for box in placed]
            taps.add(start)
        floor = y + height / 2
    return Layout(tuple(boxes.values()), tuple(arrows), tuple(labels), tuple(sorted(taps)))


def _longest_path(flow: Flow) -> list[str]:
    """The path from the input to the output with the most blocks."""
    paths: dict[str, list[str]] = {}
    for block in flow.values():
        paths[block.name] = [*max((paths[name] for name in block.inputs), key=len, default=[]), block.name]
    return paths[next(reversed(flow))]


def _place_row(flow: Flow, main: list[str], measure: Measure) -> dict[str, Box]:
    height = max(measure.block(flow[name])[1] for name in main)
    boxes: dict[str, Box] = {}
    x = 0.0
    for name in main:
        width, own_height = measure.block(flow[name])
        tall = own_height if flow[name].kind in ("sum", "input", "output") else height
        boxes[name] = Box(flow[name], x + width / 2, 0.0, width, tall)
        x += width + max(_SHORTEST_ARROW, measure.label(flow[name].shape) + 2 * _LABEL_MARGIN)
    return boxes


def _skips(flow: Flow, main: list[str]) -> list[_Skip]:
    """Every path off the main row, and every edge that no path covers."""
    placed = set(main)
    drawn = set(pairwise(main))
    skips = []
    for name in flow:
        if name in placed:
            continue
        chain = [flow[name].inputs[0], name]
        while chain[-1] not in placed:
            placed.add(chain[-1])
            following = users(flow, chain[-1])
            chain.append(next((user for user in following if user not in placed), following[0]))
        drawn |= set(pairwise(chain))
        skips.append(_Skip(chain[0], tuple(chain[1:-1]), chain[-1]))
    edges = [(source, block.name) for block in flow.values() for source in block.inputs]
    return skips + [_Skip(source, (), target) for source, target in edges if (source, target) not in drawn]


def _lanes(flow: Flow, main: list[str]) -> list[list[_Skip]]:
    """Share the skips out to lanes, the lowest first; the skips of one lane do not overlap."""
    position = {name: index for index, name in enumerate(main)}
    skips = _skips(flow, main)
    for skip in skips:
        if skip.source not in position or skip.target not in position:
            raise NitidoError(f"cannot draw a branch within a branch: from {skip.source!r} to {skip.target!r}")
    lanes: list[list[_Skip]] = []
    for skip in sorted(skips, key=lambda skip: position[skip.target] - position[skip.source]):
        start, end = position[skip.source], position[skip.target]
        apart = (
            lane
            for lane in lanes
            if all(position[other.target] <= start or end <= position[other.source] for other in lane)
        )
        lane = next(apart, None)
        if lane is None:
            lanes.append([skip])
        else:
            lane.append(skip)
    return lanes


def _place_on_lane(flow: Flow, skip: _Skip, start: float, end: float, y: float, measure: Measure) -> list[Box]:
    step = (end - start) / (len(skip.blocks) + 1)
    return [
        Box(flow[name], start + step * (index + 1), y, *measure.block(flow[name]))
        for index, name in enumerate(skip.blocks)
    ]


def _route(placed: list[Box], start: Point, end: Point, y: float) -> list[Arrow]:
    """The arrows from the tap up to the lane, through the boxes on it, and down to the target."""
    stops: list[Point] = [start, (start[0], y)]
    arrows = []
    for box in placed:
        arrows.append(Arrow((*stops, box.left)))
        stops = [box.right]
    return [*arrows, Arrow((*stops, (end[0], y), end))]


def _label_after(box: Box, arrow_length: float) -> Label:
    """The shape that leaves `box`, under the arrow behind it."""
    return Label(box.block.shape, box.right[0] + arrow_length / 2, box.y - _LABEL_DROP)
