"""Computes positions of the blocks and arrows of a diagram, in inches, with x to the right and y upwards."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from nitido.base.errors import NitidoError
from nitido.inspection.data_flow import Block, Flow, users

_LANE_GAP = 0.3  # free height between two lanes
_LABEL_MARGIN = 0.16  # free width on either side of a label under an arrow
_SHORTEST_ARROW = 0.45
_LABEL_DROP = 0.06  # from an arrow down to its label
_TAP_DISTANCE = 0.16  # from a source to the point where its skip branches off
_CHANNEL = 0.16  # distance of lines between two rows or along their left side

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A placed block: its center and its size."""

    block: Block
    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        """Where an arrow from the left ends."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        """Where an arrow to the right starts."""
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> float:
        """The y of its upper edge."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Arrow:
    """A line along `points` with a head at its end."""

    points: tuple[Point, ...]


@dataclass(frozen=True)
class Label:
    """A text, horizontally centered, whose upper edge is at `(x, y)`."""

    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Layout:
    """A complete drawing. `taps` are the points where skip connections branch off."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    labels: tuple[Label, ...]
    taps: tuple[Point, ...]


@dataclass(frozen=True)
class Measure:
    """Sizes of drawn elements: (width, height) of a block, width of a label."""

    block: Callable[[Block], tuple[float, float]]
    label: Callable[[str], float]


@dataclass(frozen=True)
class _Skip:
    """A path outside the main row: from `source` through `blocks` (empty for a plain line) to `target`."""

    source: str
    blocks: tuple[str, ...]
    target: str


class LayoutError(NitidoError):
    """A data flow that cannot be drawn as a row with skips."""


def moved(layout: Layout, right: float, up: float) -> Layout:
    """Return `layout` translated by `right` and `up`."""

    def at(point: Point) -> Point:
        return point[0] + right, point[1] + up

    return Layout(
        tuple(replace(box, x=box.x + right, y=box.y + up) for box in layout.boxes),
        tuple(Arrow(tuple(map(at, arrow.points))) for arrow in layout.arrows),
        tuple(replace(label, x=label.x + right, y=label.y + up) for label in layout.labels),
        tuple(map(at, layout.taps)),
    )


def lay_out(flow: Flow, measure: Measure, longest: float = math.inf) -> Layout:
    """Place the longest path of `flow` on a row, and every other path as a skip connection in a lane above it.

    Shorter skips are lower, so that nested skips do not cross. Skips share a lane only if they do not overlap. A row
    wider than `longest` is split into several rows, one below the other; skips between rows run along the left side.

    Raises:
        LayoutError: There is a branch within a branch.
    """
    main = _longest_path(flow)
    skips = _skips(flow, main)
    rows = _rows(flow, main, measure, longest)
    row_of = {name: index for index, row in enumerate(rows) for name in row}
    crossing = [skip for skip in skips if row_of[skip.source] != row_of[skip.target]]
    leaving = [[skip for skip in crossing if row_of[skip.source] == index] for index in range(len(rows))]
    done = Layout((), (), (), ())
    for index, row in enumerate(rows):
        local = [skip for skip in skips if row_of[skip.source] == row_of[skip.target] == index]
        arriving = [skip for skip in crossing if row_of[skip.target] == index]
        placed, floor = _lay_out_row(flow, row, local, measure)
        heights = [max((measure.block(flow[name])[1] for name in skip.blocks), default=0.0) for skip in arriving]
        if index:
            bottom = min(box.y - box.height / 2 for box in done.boxes)
            top = floor + sum(height + _LANE_GAP for height in heights)
            down = bottom - _CHANNEL * (2 + len(leaving[index - 1])) - top
            placed, floor = moved(placed, 0.0, down), floor + down
            line = _connection(done, rows[index - 1][-1], placed, row[0], len(leaving[index - 1]), measure)
            done = _joined(done, placed, line)
        else:
            done = placed
        for skip, height in zip(arriving, heights, strict=True):
            floor += _LANE_GAP + height
            channel = leaving[row_of[skip.source]].index(skip)
            line_at = -_CHANNEL * (3 + crossing.index(skip))
            done = _joined(done, _arrival(flow, skip, done, channel, line_at, floor - height / 2, measure))
    return done


def _joined(*layouts: Layout) -> Layout:
    return Layout(
        tuple(box for layout in layouts for box in layout.boxes),
        tuple(arrow for layout in layouts for arrow in layout.arrows),
        tuple(label for layout in layouts for label in layout.labels),
        tuple(sorted({tap for layout in layouts for tap in layout.taps})),
    )


def _rows(flow: Flow, main: list[str], measure: Measure, longest: float) -> list[list[str]]:
    """Split `main` into rows of about equal width, each at most `longest` wide."""
    widths = [measure.block(flow[name])[0] + _arrow_length(flow[name], measure) for name in main]
    total = sum(widths)
    count = max(1, math.ceil(total / longest))
    for share in range(20, 31):  # in twentieths of the equal width
        rows = _filled(main, widths, min(longest, share / 20 * total / count))
        if len(rows) <= count:
            return rows
    return _filled(main, widths, longest)


def _filled(main: list[str], widths: list[float], limit: float) -> list[list[str]]:
    rows: list[list[str]] = [[]]
    used = 0.0
    for name, width in zip(main, widths, strict=True):
        if rows[-1] and used + width > limit + 1e-9:
            rows.append([])
            used = 0.0
        rows[-1].append(name)
        used += width
    return rows


def _lay_out_row(flow: Flow, row: list[str], skips: list["_Skip"], measure: Measure) -> tuple[Layout, float]:
    """Return a row with the skips that start and end in it, and its highest y."""
    boxes = _place_row(flow, row, measure)
    pairs = list(pairwise(row))
    arrows = [Arrow((boxes[one].right, boxes[other].left)) for one, other in pairs]
    labels = [_label_after(boxes[one], boxes[other].left[0] - boxes[one].right[0]) for one, other in pairs]
    taps: set[Point] = set()

    floor = max(box.top for box in boxes.values())
    for lane in _lanes(skips, row):
        height = max((measure.block(flow[name])[1] for skip in lane for name in skip.blocks), default=0.0)
        y = floor + _LANE_GAP + height / 2
        for skip in lane:
            start = boxes[skip.source].right[0] + _TAP_DISTANCE, boxes[skip.source].y
            end = boxes[skip.target].x, boxes[skip.target].top
            placed = _place_on_lane(flow, skip, start[0], end[0], y, measure)
            boxes |= {box.block.name: box for box in placed}
            arrows += _route(placed, [start, (start[0], y)], end, y)
            labels += [_label_after(box, measure.label(box.block.shape) + 2 * _LABEL_MARGIN) for box in placed]
            taps.add(start)
        floor = y + height / 2
    return Layout(tuple(boxes.values()), tuple(arrows), tuple(labels), tuple(sorted(taps))), floor


def _connection(above: Layout, last: str, below: Layout, first: str, channel: int, measure: Measure) -> Layout:
    """Return the line from the end of a row to the start of the next, in the `channel`-th channel between them."""
    source, target = _box(above, last), _box(below, first)
    right = source.right[0] + _TAP_DISTANCE + 0.1
    y = min(box.y - box.height / 2 for box in above.boxes) - _CHANNEL * (1 + channel)
    left = target.left[0] - 2 * _CHANNEL
    points = source.right, (right, source.y), (right, y), (left, y), (left, target.y), target.left
    shape = source.block.shape
    label = Label(shape, right - measure.label(shape) / 2 - _LABEL_DROP, y - _LABEL_DROP)
    return Layout((), (Arrow(points),), (label,), ())


def _arrival(
    flow: Flow, skip: "_Skip", done: Layout, channel: int, left: float, lane: float, measure: Measure
) -> Layout:
    """Return a skip from an earlier row to the lowest one.

    It runs in the `channel`-th channel below its row, down at x = `left` beside the rows, and to its target at y =
    `lane`.
    """
    source, target = _box(done, skip.source), _box(done, skip.target)
    start = source.right[0] + _TAP_DISTANCE / 2, source.y
    bottom = min(box.y - box.height / 2 for box in done.boxes if abs(box.y - source.y) < 1e-9)
    below = bottom - _CHANNEL * (1 + channel)
    end = target.x, target.top
    placed = _place_on_lane(flow, skip, left, end[0], lane, measure)
    arrows = _route(placed, [start, (start[0], below), (left, below), (left, lane)], end, lane)
    labels = (_label_after(box, measure.label(box.block.shape) + 2 * _LABEL_MARGIN) for box in placed)
    return Layout(tuple(placed), tuple(arrows), tuple(labels), (start,))


def _box(layout: Layout, name: str) -> Box:
    return next(box for box in layout.boxes if box.block.name == name)


def _longest_path(flow: Flow) -> list[str]:
    """Return the path from the input to the output with the most blocks."""
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
        x += width + _arrow_length(flow[name], measure)
    return boxes


def _arrow_length(block: Block, measure: Measure) -> float:
    return max(_SHORTEST_ARROW, measure.label(block.shape) + 2 * _LABEL_MARGIN)


def _skips(flow: Flow, main: list[str]) -> list[_Skip]:
    """Return every path outside the main row, and every edge that no path covers."""
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
    skips += [_Skip(source, (), target) for source, target in edges if (source, target) not in drawn]
    for skip in skips:
        if skip.source not in main or skip.target not in main:
            raise LayoutError(f"cannot draw a branch within a branch: from {skip.source!r} to {skip.target!r}")
    return skips


def _lanes(skips: list[_Skip], row: list[str]) -> list[list[_Skip]]:
    """Distribute the skips of a row over lanes, the lowest first, so that the skips of one lane do not overlap."""
    position = {name: index for index, name in enumerate(row)}
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


def _route(placed: list[Box], way: list[Point], end: Point, y: float) -> list[Arrow]:
    """Return the arrows along `way` to the lane at `y`, through the boxes on it, and down to the target `end`."""
    stops = way
    arrows = []
    for box in placed:
        arrows.append(Arrow((*stops, box.left)))
        stops = [box.right]
    return [*arrows, Arrow((*stops, (end[0], y), end))]


def _label_after(box: Box, arrow_length: float) -> Label:
    """Return the shape of the output of `box` as a label under the arrow after it."""
    return Label(box.block.shape, box.right[0] + arrow_length / 2, box.y - _LABEL_DROP)
