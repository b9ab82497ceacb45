"""Offloads activations to disk: the same bits as in memory, but slower."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

SMALLEST = 1 << 18
"""Minimum size in bytes of a tensor that is offloaded."""


@dataclass(frozen=True)
class _Place:
    """An offloaded tensor: the position of its data in the file, and its metadata."""

    offset: int
    bytes: int
    size: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device


class OffloadToDisk(saved_tensors_hooks):
    """A context for one step that stores large tensors saved for the backward pass in an unnamed file in `folder`.

    The file is removed with the context, however the process ends. Raises `OSError` if the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".nitido-", suffix=".part")  # noqa: SIM115
        self._folder = folder
        super().__init__(self._write, self._read)

    def _write(self, tensor: Tensor) -> Tensor | _Place:
        if tensor.nbytes < SMALLEST or (tensor.is_leaf and tensor.requires_grad):
            return tensor.detach()
        dense = _dense(tensor.detach().cpu())
        numbers = dense.as_strided((dense.numel(),), (1,)).view(torch.uint8).numpy()
        offset = self._file.seek(0, 2)
        try:
            self._file.write(numbers.data)
            self._file.flush()
        except OSError as error:
            error.filename = str(self._folder)
            raise
        return _Place(offset, len(numbers), dense.size(), dense.stride(), dense.dtype, tensor.device)

    def _read(self, kept: Tensor | _Place) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        self._file.seek(kept.offset)
        numbers = torch.from_numpy(np.fromfile(self._file, np.uint8, kept.bytes))
        return numbers.view(kept.dtype).as_strided(kept.size, kept.stride).to(kept.device)


def _dense(tensor: Tensor) -> Tensor:
    """Return `tensor`, or a dense copy in its memory format (contiguous or channels last)."""
    as_it_is = tensor.is_contiguous() or (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
    return tensor if as_it_is else tensor.contiguous()
