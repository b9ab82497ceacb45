"""How large a piece a network can work on in a given memory."""

import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nitido.architectures import NetworkConfig, SuperResolutionNetwork

PROBE = 32
"""Side, in LR pixels, of the picture that is enlarged to see what a network keeps in memory at once."""

_SCRATCH = 1.5
"""Convolutions keep their own copies of what they work on, beside PyTorch's tensors."""


class ForeignNetwork(SuperResolutionNetwork):
    """A network that something else than PyTorch runs, which cannot be watched.

    Attributes:
        bytes_per_pixel: what it works in for each LR pixel of its input.
    """

    def __init__(self, config: NetworkConfig, receptive_field_radius: int | None, bytes_per_pixel: float) -> None:
        """Remember what is known of the network."""
        super().__init__(config, receptive_field_radius)
        self.bytes_per_pixel = bytes_per_pixel


def bytes_per_pixel(network: SuperResolutionNetwork) -> float:
    """Bytes that `network` needs at once for each LR pixel of its input, found by watching it enlarge a small one."""
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    probe = torch.zeros(1, network.channels, PROBE, PROBE, device=device)
    with torch.no_grad(), _Watch() as watch:
        network(probe)
    peak: int = watch.peak
    unseen = max((part.bytes_per_pixel for part in network.modules() if isinstance(part, ForeignNetwork)), default=0.0)
    return unseen + _SCRATCH * peak / PROBE**2


class _Watch(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive at once, views counted with what they view."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._live = 0
        self._owners: Counter[int] = Counter()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._born(leaf)
        return result

    def _born(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        if not self._owners[address]:
            self._live += size
            self.peak = max(self.peak, self._live)
        self._owners[address] += 1
        weakref.finalize(tensor, self._gone, address, size)

    def _gone(self, address: int, size: int) -> None:
        self._owners[address] -= 1
        if not self._owners[address]:
            self._live -= size
