"""Tensors as operands of the C code. Each tensor is checked where its address is taken."""

import ctypes
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from nitido.kernels.library import Pointer

LAYOUT = torch.channels_last

FEATURES, WEIGHTS = torch.bfloat16, torch.float32
"""Types of features and their gradients, and of weights, biases and their gradients."""

LARGEST = 2**30
"""Maximum for pixels of a padded image and for images of a call, safe for the C code's 32-bit counters."""


def dense(tensor: Tensor) -> Tensor:
    """Return `tensor` contiguous in memory, channels last if it has four dimensions.

    It is copied only if it has another layout. `Tensor.to(memory_format=…)` is not sufficient, because it returns a
    slice of a channels-last tensor unchanged.
    """
    if tensor.layout != torch.strided:
        raise ValueError(f"the kernels need strided tensors, not {tensor.layout}")
    _check_storage(tensor)
    stored = tensor.resolve_neg().contiguous(memory_format=_layout(tensor))
    return stored.clone() if stored.device.type == "cpu" and stored.data_ptr() % stored.element_size() else stored


def as_features(tensor: Tensor, channels: int, kernel: int) -> Tensor:
    """Return `tensor`, `(N, channels, H, W)` of any floating type, as dense bfloat16 features.

    Raises:
        ValueError: The shape does not match, or the images have no pixels or are too large for this kernel size.
    """
    if tensor.dim() != 4 or not tensor.is_floating_point():
        raise ValueError(f"the kernels need floating point (N, C, H, W), not {tensor.dtype} {tuple(tensor.shape)}")
    n, given, height, width = tensor.shape
    if given != channels:
        raise ValueError(f"convolutions of {channels} channels got {given}")
    if not height or not width:
        raise ValueError(f"images of {width}×{height} pixels are empty")
    if max(n * torch.get_num_threads(), (height + kernel) * (width + kernel)) > LARGEST:
        raise ValueError(f"{n} images of {width}×{height} pixels are too large for the kernels")
    return dense(tensor).to(FEATURES)


def address(tensor: Tensor | None, shape: Sequence[int], dtype: torch.dtype) -> Pointer:
    """Return the address of the elements of `tensor` for the C code; NULL for None.

    Raises:
        ValueError: It has another shape or type, is not contiguous, or is not in the CPU's memory.
    """
    if tensor is None:
        return Pointer(None)
    found = tensor.dtype, tuple(tensor.shape), tensor.device.type
    if found != (dtype, tuple(shape), "cpu"):
        raise ValueError(f"the kernels need {(dtype, tuple(shape), 'cpu')}, not {found}")
    if tensor.layout != torch.strided or tensor.is_neg() or not tensor.is_contiguous(memory_format=_layout(tensor)):
        raise ValueError(f"a tensor {found} is not contiguous in memory")
    _check_storage(tensor)
    return Pointer(tensor.data_ptr())


def addresses(
    tensors: Sequence[Tensor | None], shapes: Iterable[Sequence[int]], dtype: torch.dtype
) -> ctypes.Array[Pointer]:
    """Return the `address` of each of `tensors`."""
    return (Pointer * len(tensors))(*(address(t, shape, dtype) for t, shape in zip(tensors, shapes, strict=True)))


def check(status: int) -> None:
    """Raise `MemoryError` if a function of the library reports that it is out of memory."""
    if status:
        raise MemoryError("out of memory in the kernels")


def _check_storage(tensor: Tensor) -> None:
    """Raise `ValueError` if elements of `tensor` are outside its storage, which may have been resized."""
    if tensor.numel() and tensor.device.type == "cpu":
        last = tensor.storage_offset() + sum(
            (n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)
        )
        if (last + 1) * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"the storage of a tensor {tuple(tensor.shape)} is too small for its elements")


def _layout(tensor: Tensor) -> torch.memory_format:
    return LAYOUT if tensor.dim() == 4 else torch.contiguous_format
