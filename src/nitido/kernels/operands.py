"""Tensors as operands of the C code: each is checked here, where its address is taken."""

import ctypes
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from nitido.kernels.library import Pointer

LAYOUT = torch.channels_last

FEATURES, WEIGHTS = torch.bfloat16, torch.float32
"""The types of features and their gradients, and of weights, biases and theirs."""

LARGEST = 2**30
"""Pixels of a padded picture, and pictures of a call, that the C code's 32-bit counters are sure to hold."""


def dense(tensor: Tensor) -> Tensor:
    """Return `tensor` with its elements side by side in memory, channels last if it has four dimensions.

    It is copied only if they are stored otherwise. `Tensor.to(memory_format=…)` is no substitute: it returns a slice of
    a channels-last tensor as it is.
    """
    if tensor.layout != torch.strided:
        raise ValueError(f"the kernels calculate with strided tensors, not with {tensor.layout}")
    _check_storage(tensor)
    stored = tensor.resolve_neg().contiguous(memory_format=_layout(tensor))
    return stored.clone() if stored.device.type == "cpu" and stored.data_ptr() % stored.element_size() else stored


def features_of(tensor: Tensor, channels: int, kernel: int) -> Tensor:
    """Return `tensor`, `(N, channels, H, W)` of any floating type, as dense bfloat16 features.

    Raises `ValueError` for another shape, for pictures without pixels, and for ones too large for `kernel`.
    """
    if tensor.dim() != 4 or not tensor.is_floating_point():
        raise ValueError(f"the kernels need floating point (N, C, H, W), not {tensor.dtype} {tuple(tensor.shape)}")
    n, given, height, width = tensor.shape
    if given != channels:
        raise ValueError(f"convolutions of {channels} channels were given {given}")
    if not height or not width:
        raise ValueError(f"pictures of {width}×{height} pixels have nothing to convolve")
    if max(n * torch.get_num_threads(), (height + kernel) * (width + kernel)) > LARGEST:
        raise ValueError(f"{n} pictures of {width}×{height} pixels are too large for the kernels")
    return dense(tensor).to(FEATURES)


def address(tensor: Tensor | None, shape: Sequence[int], dtype: torch.dtype) -> Pointer:
    """Return where the elements of `tensor` are stored, for C to read or write; NULL for None.

    Raises `ValueError` unless it has this shape and type and is dense in the processor's own memory.
    """
    if tensor is None:
        return Pointer(None)
    found = tensor.dtype, tuple(tensor.shape), tensor.device.type
    if found != (dtype, tuple(shape), "cpu"):
        raise ValueError(f"the kernels need {(dtype, tuple(shape), 'cpu')}, not {found}")
    if tensor.layout != torch.strided or tensor.is_neg() or not tensor.is_contiguous(memory_format=_layout(tensor)):
        raise ValueError(f"the elements of a tensor {found} are not side by side in memory")
    _check_storage(tensor)
    return Pointer(tensor.data_ptr())


def addresses(
    tensors: Sequence[Tensor | None], shapes: Iterable[Sequence[int]], dtype: torch.dtype
) -> ctypes.Array[Pointer]:
    """Return the `address` of each of `tensors`."""
    return (Pointer * len(tensors))(*(address(t, shape, dtype) for t, shape in zip(tensors, shapes, strict=True)))


def check(status: int) -> None:
    """Raise `MemoryError` if a function of the library says that memory ran out."""
    if status:
        raise MemoryError("not enough memory for the features of a network")


def _check_storage(tensor: Tensor) -> None:
    """Raise `ValueError` if elements of `tensor` lie outside its storage, which may have been taken away."""
    if tensor.numel() and tensor.device.type == "cpu":
        last = tensor.storage_offset() + sum(
            (n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)
        )
        if (last + 1) * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"the elements of a tensor {tuple(tensor.shape)} are not stored in memory")


def _layout(tensor: Tensor) -> torch.memory_format:
    return LAYOUT if tensor.dim() == 4 else torch.contiguous_format
