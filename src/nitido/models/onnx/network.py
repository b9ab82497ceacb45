"""An ONNX model in the place of a network."""

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
"""How the names of exported files end."""

_UNLIKE = "its graph is not what its descriptor says"


class OnnxNetwork(ForeignNetwork):
    """A network that ONNX Runtime runs on the CPU in float32: `(N, C, h, w)` -> `(N, C, k*h, k*w)`."""

    def __init__(
        self,
        session: Session,
        scale: int,
        channels: Literal[1, 3],
        radius: int | None,
        bytes_per_pixel: float,
        other_scale: "Callable[[int], OnnxNetwork] | None" = None,
    ) -> None:
        """Take the place of the network that `session` was exported from; `scale` to `bytes_per_pixel` are its own.

        `other_scale` exports it at another scale, where that can be done.
        """
        # Checked where they come from: an architecture may know other scales than most.
        config = NetworkConfig.model_construct(scale=scale, channels=channels)
        super().__init__(config, radius, bytes_per_pixel)
        self._session = session
        self._other_scale = other_scale
        self.eval()

    def at_scale(self, scale: int) -> "OnnxNetwork":
        """This network at another scale; a graph from a file has one, so `OnnxError` is raised for others."""
        if scale == self.scale:
            return self
        if self._other_scale is None:
            raise OnnxError(f"this ONNX model enlarges ×{self.scale}, not ×{scale}: export another one")
        return self._other_scale(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge `lr`, `(N, channels, h, w)` float in [0, 1]; raises `MemoryError` where there is too little."""
        values = lr.detach().to("cpu", torch.float32).contiguous().numpy()
        return torch.from_numpy(self._session(values)).to(lr.device)


def load_onnx_file(path: Path) -> OnnxNetwork:
    """The network in a file that nitido has exported.

    It is read and run once in a process of its own first. Raises `ModelFileError` for other files, damaged ones, and
    those that take too much time or memory, and `OnnxError` when ONNX Runtime is not installed.
    """
    content, metadata = read_onnx_file(path)
    require(f"{path}: running an ONNX model", RUNTIME)
    descriptor, memory = from_metadata(path, metadata)
    failure = try_onnx_file(path, descriptor.channels)
    if failure is not None:
        stage, reason = failure
        problem = "not a readable ONNX file, damaged or cut short" if stage == READ else _UNLIKE
        raise ModelFileError(f"{path}: {problem} ({printable(reason)})")
    try:
        session = Session(content)
    except OnnxError as error:
        raise ModelFileError(f"{path}: not a readable ONNX file, damaged or cut short ({error})") from None
    radius = descriptor.receptive_field_radius
    network = OnnxNetwork(session, descriptor.scale, descriptor.channels, radius, memory)
    _check_graph(path, network)
    return network


def _check_graph(path: Path, network: OnnxNetwork) -> None:
    """Metadata can be changed without the graph: it must enlarge as promised."""
    try:
        found = tuple(network(torch.zeros(1, network.channels, 2, 3)).shape)
    except OnnxError as error:
        raise ModelFileError(f"{path}: {_UNLIKE} ({error})") from None
    wanted = (1, network.channels, 2 * network.scale, 3 * network.scale)
    if found != wanted:
        raise ModelFileError(f"{path}: its graph makes {found} of 2×3 pixels, its descriptor says {wanted}")
