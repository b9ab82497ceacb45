"""Networks without weights on the meta device, to compute shapes and costs without arithmetic."""

import copy
from typing import TypeVar

import torch
from torch import nn

NetworkT = TypeVar("NetworkT", bound=nn.Module)


def meta_copy(network: NetworkT) -> NetworkT:
    """Return a copy of `network` in eval mode with all tensors on the meta device."""
    stand_ins: dict[int, object] = {id(buffer): buffer.to("meta") for buffer in network.buffers()}
    for parameter in network.parameters():
        stand_ins[id(parameter)] = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)
    return copy.deepcopy(network, stand_ins).eval()


def meta_image(channels: int, height: int, width: int) -> torch.Tensor:
    """Return an LR image `(1, channels, height, width)` on the meta device."""
    return torch.empty(1, channels, height, width, device="meta")
