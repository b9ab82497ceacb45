"""Measures the peak memory of PyTorch's tensors."""

import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):
    """A context that counts the bytes of tensors that are created in it and alive; views count with their storage.

    Attributes:
        peak: The maximum.
    """

    peak: int

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._live = 0
        self._owners: Counter[int] = Counter()

    def __enter__(self) -> Self:
        """Start to count."""
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        if not self._owners[address]:
            self._live += size
            self.peak = max(self.peak, self._live)
        self._owners[address] += 1
        weakref.finalize(tensor, self._discount, address, size)

    def _discount(self, address: int, size: int) -> None:
        self._owners[address] -= 1
        if not self._owners[address]:
            self._live -= size
