"""An ONNX model as a super-resolution network."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from nitido.architectures import NetworkConfig
from nitido.base.printable import printable
from nitido.models.model_file import ModelFileError
from nitido.models.onnx.file import read_onnx_file
from nitido.models.onnx.metadata import from_metadata
from nitido.models.onnx.packages import RUNTIME, OnnxError, require
from nitido.models.onnx.runtime import Session
from nitido.models.onnx.trial import READ, try_onnx_file
from nitido.models.working_memory import ForeignNetwork

SUFFIX = ".onnx"
"""Suffix of exported files."""

_MISMATCH = "its graph does not match its descriptor"


class OnnxNetwork(ForeignNetwork):
    """A network that ONNX Runtime runs on the CPU in float32: `(N, C, h, w)` → `(N, C, k*h, k*w)`."""

    def __init__(
        self,
        session: Session,
        scale: int,
        channels: Literal[1, 3],
        radius: int | None,
        bytes_per_pixel: float,
        other_scale: "Callable[[int], OnnxNetwork] | None" = None,
    ) -> None:
        """Wrap a session.

        Args:
            session: The exported model.
            scale: Scale of the model.
            channels: Image channels.
            radius: Receptive field radius.
            bytes_per_pixel: Memory per LR pixel.
            other_scale: Exports the network at another scale, if possible.
        """
        # Not validated here, because an architecture may support other scales than most.
        config = NetworkConfig.model_construct(scale=scale, channels=channels)
        super().__init__(config, radius, bytes_per_pixel)
        self._session = session
        self._other_scale = other_scale
        self.eval()

    def at_scale(self, scale: int) -> "OnnxNetwork":
        """Return this network at another scale; raise `OnnxError` for a graph from a file, which has only one."""
        if scale == self.scale:
            return self
        if self._other_scale is None:
            raise OnnxError(f"this ONNX model upscales by ×{self.scale}, not by ×{scale}: export another one")
        return self._other_scale(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale `lr`, `(N, channels, h, w)` float in [0, 1]; raise `MemoryError` if out of memory."""
        values = lr.detach().to("cpu", torch.float32).contiguous().numpy()
        return torch.from_numpy(self._session(values)).to(lr.device)


def load_onnx_file(path: Path) -> OnnxNetwork:
    """Return the network in a file that nitido exported. The file is first run in a separate process.

    Raises:
        ModelFileError: It is another file, damaged, or takes too much time or memory.
        OnnxError: ONNX Runtime is not installed.
    """
    content, metadata = read_onnx_file(path)
    require(f"{path}: running an ONNX model", RUNTIME)
    descriptor, memory = from_metadata(path, metadata)
    failure = try_onnx_file(path, descriptor.channels)
    if failure is not None:
        stage, reason = failure
        problem = "not a readable ONNX file, damaged or truncated" if stage == READ else _MISMATCH
        raise ModelFileError(f"{path}: {problem} ({printable(reason)})")
    try:
        session = Session(content)
    except OnnxError as error:
        raise ModelFileError(f"{path}: not a readable ONNX file, damaged or truncated ({error})") from None
    radius = descriptor.receptive_field_radius
    network = OnnxNetwork(session, descriptor.scale, descriptor.channels, radius, memory)
    _check_graph(path, network)
    return network


def _check_graph(path: Path, network: OnnxNetwork) -> None:
    """Raise `ModelFileError` unless the graph upscales as the descriptor says, because metadata can be edited."""
    try:
        found = tuple(network(torch.zeros(1, network.channels, 2, 3)).shape)
    except OnnxError as error:
        raise ModelFileError(f"{path}: {_MISMATCH} ({error})") from None
    wanted = (1, network.channels, 2 * network.scale, 3 * network.scale)
    if found != wanted:
        raise ModelFileError(f"{path}: its graph outputs {found} for 2×3 pixels, but its descriptor states {wanted}")
