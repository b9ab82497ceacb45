"""Channels last in memory, in a way that PyTorch sees."""

import torch
from torch import Tensor


def channels_last(pictures: Tensor) -> Tensor:
    """`pictures`, `(N, C, h, w)`, with the channels of a pixel side by side in memory: what convolutions are fast at.

    PyTorch tells the layout by the strides, also by those of axes of length 1, which may be any: a single picture, or a
    single channel, can pass for channels last in `contiguous` and for the slow layout in a convolution. Here they are
    as of many pictures of many channels. Copied only where the numbers lie otherwise.

    >>> torch.zeros(1, 1, 2, 5).contiguous(memory_format=torch.channels_last).stride()
    (10, 10, 5, 1)
    >>> channels_last(torch.zeros(1, 1, 2, 5)).stride()
    (10, 1, 5, 1)
    """
    _, channels, height, width = pictures.shape
    laid_out = pictures.contiguous(memory_format=torch.channels_last)
    return laid_out.as_strided(laid_out.shape, (channels * height * width, 1, channels * width, channels))
