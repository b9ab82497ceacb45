"""The files of a training, read for comparison."""

import json
from pathlib import Path

import torch

from nitido.architectures import SuperResolutionNetwork


def lines(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def same_weights(a: SuperResolutionNetwork, b: SuperResolutionNetwork) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)
