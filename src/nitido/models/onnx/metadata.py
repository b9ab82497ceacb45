"""Metadata of ONNX files: text for any reader, and nitido's descriptor."""

from collections.abc import Mapping
from pathlib import Path

from nitido.architectures import SuperResolutionNetwork
from nitido.models.model_file import METADATA_KEY, ModelDescriptor, ModelFileError, metric_name, parse_descriptor

COLORS = {
    3: "RGB in [0, 1]",
    1: "Y in [0, 1]: the value of gray, or (16 + 65.481 R + 128.553 G + 24.966 B) / 255 of R, G, B in [0, 1] (BT.601)",
}
"""Meaning of input and output (not clamped), by number of channels."""

_MEMORY = "bytes_per_pixel"


def of_one_scale(descriptor: ModelDescriptor, network: SuperResolutionNetwork) -> ModelDescriptor:
    """Return `descriptor` restricted to the scale of `network`, which is one of its model's scales."""
    prefix = metric_name("", network.scale, descriptor.scale)
    metrics = {
        dataset: {
            name.removeprefix(prefix): value
            for name, value in values.items()
            if name.startswith(prefix) and "/" not in name.removeprefix(prefix)
        }
        for dataset, values in descriptor.metrics.items()
    }
    return ModelDescriptor.of(network, descriptor.architecture, descriptor.name, descriptor.training, metrics)


def to_metadata(descriptor: ModelDescriptor, bytes_per_pixel: float) -> dict[str, str]:
    """Return the metadata of a file; `bytes_per_pixel` is the memory that the network needs per LR pixel."""
    radius = descriptor.receptive_field_radius
    return {
        "name": descriptor.name,
        "architecture": descriptor.architecture,
        "scale": str(descriptor.scale),
        "channels": str(descriptor.channels),
        "receptive_field_radius": "whole image" if radius is None else str(radius),
        "colour": COLORS[descriptor.channels],
        _MEMORY: f"{bytes_per_pixel:.0f}",
        METADATA_KEY: descriptor.model_dump_json(),
    }


def from_metadata(path: Path, metadata: Mapping[str, str]) -> tuple[ModelDescriptor, float]:
    """Return the descriptor and the bytes per pixel of `to_metadata`; raise `ModelFileError` if they are invalid."""
    if METADATA_KEY not in metadata:
        raise ModelFileError(
            f"{path}: an ONNX file that was not exported by nitido, so its scale and colors are unknown "
            "(nitido model export writes one)"
        )
    descriptor = parse_descriptor(path, metadata[METADATA_KEY])
    try:
        memory = float(metadata[_MEMORY])
        if not 0 < memory < float("inf"):
            raise ValueError
    except (KeyError, ValueError):
        raise ModelFileError(
            f"{path}: its {_MEMORY} is {metadata.get(_MEMORY, 'missing')}, it must be a positive number"
        ) from None
    return descriptor, memory
