"""Exports that are the same network: compared with PyTorch, and refused where they are not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from nitido.architectures import SuperResolutionNetwork
from nitido.base.atomic import write_bytes
from nitido.models.model_file import ModelDescriptor
from nitido.models.onnx.convert import to_onnx
from nitido.models.onnx.file import with_checksum
from nitido.models.onnx.metadata import of_one_scale, to_metadata
from nitido.models.onnx.network import SUFFIX, OnnxNetwork
from nitido.models.onnx.packages import OnnxError
from nitido.models.onnx.runtime import Session
from nitido.models.working_memory import bytes_per_pixel

LIMIT = 1e-4
"""The largest difference of an output value, of 1 for white, that still counts as the same network."""

SIZES = ((1, 17, 23), (1, 32, 48), (2, 5, 61), (1, 1, 2))
"""Pictures, height and width of what both enlarge: odd sizes, thin ones, and smaller than a kernel."""


@dataclass(frozen=True)
class Export:
    """What became of an export.

    Attributes:
        size: bytes of the file.
        differences: size of a picture -> the largest difference from PyTorch, where white is 1.
    """

    size: int
    differences: Mapping[str, float]

    @property
    def largest_difference(self) -> float:
        """The largest of all."""
        return max(self.differences.values())


def export_onnx(path: Path, network: SuperResolutionNetwork, descriptor: ModelDescriptor) -> Export:
    """Write `network`, on the CPU, which is put in eval mode, as ONNX to `path`, atomically.

    `descriptor` is of its model file; the ONNX file is for the network's own scale. Raises `OnnxError`, and leaves
    `path` as it was, when the name does not end in .onnx, a package is missing, PyTorch cannot export the network, or
    ONNX Runtime gives other values than PyTorch by more than `LIMIT`.
    """
    if path.suffix.lower() != SUFFIX:
        raise OnnxError(f"{path}: an ONNX file is needed; give a name that ends in {SUFFIX}")
    content, _, differences = _compared(network, of_one_scale(descriptor, network))
    content = with_checksum(content)
    write_bytes(path, content)
    return Export(len(content), differences)


def in_onnx_runtime(network: SuperResolutionNetwork) -> OnnxNetwork:
    """`network`, on the CPU, which is put in eval mode, run by ONNX Runtime; raises `OnnxError` as `export_onnx`.

    What serves several scales is exported for another one when that is first asked for.
    """

    @cache
    def at(scale: int) -> OnnxNetwork:
        return _compared(network.at_scale(scale), other_scale=at)[1]

    return at(network.scale)


def _compared(
    network: SuperResolutionNetwork,
    descriptor: ModelDescriptor | None = None,
    other_scale: Callable[[int], OnnxNetwork] | None = None,
) -> tuple[bytes, OnnxNetwork, dict[str, float]]:
    """The file's content, what ONNX Runtime makes of it, and how far that is from `network`."""
    network.eval()
    memory = bytes_per_pixel(network)
    content = to_onnx(network, {} if descriptor is None else to_metadata(descriptor, memory))
    radius, channels = network.receptive_field_radius, network.config.channels
    exported = OnnxNetwork(Session(content), network.scale, channels, radius, memory, other_scale)
    differences = largest_differences(network, exported)
    for size, difference in differences.items():
        if not difference <= LIMIT:  # not a number is never that small
            raise OnnxError(
                f"the ONNX model is not the same network: at {size} it differs from PyTorch by {difference:.3g}, "
                f"where white is 1 (allowed: {LIMIT:g})"
            )
    return content, exported, differences


@torch.inference_mode()
def largest_differences(network: SuperResolutionNetwork, exported: SuperResolutionNetwork) -> dict[str, float]:
    """For each of `SIZES` ("17×23") the largest difference between the two, of noise in [0, 1] in float32.

    Infinite where they differ in size; NaN where one of them gives NaN.
    """
    noise = torch.Generator().manual_seed(0)
    differences = {}
    for pictures, height, width in SIZES:
        lr = torch.rand(pictures, network.channels, height, width, generator=noise)
        expected, found = network(lr), exported(lr)
        same = expected.shape == found.shape
        differences[f"{height}×{width}"] = float((expected - found).abs().max()) if same else float("inf")
    return differences
