"""Exports networks to ONNX, compares the result with PyTorch, and refuses it if it differs."""

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
"""Maximum absolute difference of output values, where white is 1."""

SIZES = ((1, 17, 23), (1, 32, 48), (2, 5, 61), (1, 1, 2))
"""Batch, height and width of the compared images: odd sizes, thin ones, and smaller than a kernel."""


@dataclass(frozen=True)
class Export:
    """The result of an export.

    Attributes:
        size: Bytes of the file.
        differences: Image size -> maximum difference from PyTorch, where white is 1.
    """

    size: int
    differences: Mapping[str, float]

    @property
    def largest_difference(self) -> float:
        """Maximum over all sizes."""
        return max(self.differences.values())


def export_onnx(path: Path, network: SuperResolutionNetwork, descriptor: ModelDescriptor) -> Export:
    """Write `network`, on the CPU, as ONNX to `path`, atomically. The network is put into eval mode.

    Args:
        path: The file, with the suffix .onnx.
        network: The network; the file is for its own scale.
        descriptor: The descriptor of its model file.

    Raises:
        OnnxError: The suffix is another, a package is missing, PyTorch cannot export the network, or the outputs of
            ONNX Runtime and PyTorch differ by more than `LIMIT`. `path` is unchanged.
    """
    if path.suffix.lower() != SUFFIX:
        raise OnnxError(f"{path}: the name of an ONNX file must end in {SUFFIX}")
    content, _, differences = _compared(network, of_one_scale(descriptor, network))
    content = with_checksum(content)
    write_bytes(path, content)
    return Export(len(content), differences)


def in_onnx_runtime(network: SuperResolutionNetwork) -> OnnxNetwork:
    """Return `network`, on the CPU and put into eval mode, run by ONNX Runtime; raise `OnnxError` as `export_onnx`.

    A network for several scales is exported for another scale when it is first used.
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
    """Return the file's content, the network run by ONNX Runtime, and its differences from `network`."""
    network.eval()
    memory = bytes_per_pixel(network)
    content = to_onnx(network, {} if descriptor is None else to_metadata(descriptor, memory))
    radius, channels = network.receptive_field_radius, network.config.channels
    exported = OnnxNetwork(Session(content), network.scale, channels, radius, memory, other_scale)
    differences = largest_differences(network, exported)
    for size, difference in differences.items():
        if not difference <= LIMIT:  # true for NaN
            raise OnnxError(
                f"the ONNX model is not equivalent: at {size} it differs from PyTorch by {difference:.3g}, "
                f"where white is 1 (allowed: {LIMIT:g})"
            )
    return content, exported, differences


@torch.inference_mode()
def largest_differences(network: SuperResolutionNetwork, exported: SuperResolutionNetwork) -> dict[str, float]:
    """Return the maximum difference of the outputs for noise in [0, 1] in float32, for each of `SIZES` ("17×23").

    It is infinite if the output sizes differ, and NaN if an output is NaN.
    """
    noise = torch.Generator().manual_seed(0)
    differences = {}
    for images, height, width in SIZES:
        lr = torch.rand(images, network.channels, height, width, generator=noise)
        expected, found = network(lr), exported(lr)
        same = expected.shape == found.shape
        differences[f"{height}×{width}"] = float((expected - found).abs().max()) if same else float("inf")
    return differences
