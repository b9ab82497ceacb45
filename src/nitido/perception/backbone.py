"""A frozen feature extractor."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from nitido.base.errors import NitidoError


class PerceptionError(NitidoError):
    """A backbone's weights are missing, or images cannot be compared."""


class Backbone(nn.Module):
    """The named steps of a trained network, frozen, up to the deepest requested layer.

    It is always in eval mode and its weights have no gradients; gradients flow through it to the images. Weights are
    stored channels-last, which is faster for convolutions on a CPU and no slower on a GPU.
    """

    def __init__(
        self,
        steps: Mapping[str, nn.Module],
        strides: Mapping[str, int],
        layers: Collection[str],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        """Keep the steps that `layers` need.

        Args:
            steps: The network in order of computation; the output of a step is the layer of that name.
            strides: Number of image pixels per pixel of each layer.
            layers: Names of the requested steps.
            mean: Per color; subtracted from images in [0, 1] before the first step.
            std: Per color; divides the result.
        """
        super().__init__()
        names = list(steps)
        deepest = max(names.index(layer) for layer in layers)
        self.layers = tuple(name for name in names if name in layers)
        self.stride = strides[names[deepest]]
        self.steps = nn.ModuleDict({name: steps[name] for name in names[: deepest + 1]})
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)
        super().train(False)

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in eval mode, whatever the mode of the parent module."""
        return self

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the requested layers by name, shallow to deep.

        Args:
            images: RGB, `(N, 3, H, W)` float in [0, 1].

        Returns:
            For each layer `(N, channels, ~H / stride, ~W / stride)`.

        Raises:
            PerceptionError: The images are smaller than one pixel of the deepest layer.
        """
        height, width = images.shape[-2:]
        if min(height, width) < self.stride:
            raise PerceptionError(
                f"images of {height}×{width} pixels are too small for layer {self.layers[-1]!r}, "
                f"which needs at least {self.stride}×{self.stride}: use larger images or a shallower layer"
            )
        features = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        found = {}
        for name, step in self.steps.items():
            features = step(features)
            if name in self.layers:
                found[name] = features
        return found
