"""A frozen network that is looked into instead of trained."""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from nitido.base.errors import NitidoError


class PerceptionError(NitidoError):
    """A backbone's weights are missing, or pictures that cannot be compared."""


class Backbone(nn.Module):
    """The named steps of a trained network, frozen, up to the deepest layer that is wanted.

    Always in eval mode, its weights without gradients; gradients flow through it to the pictures. Weights lie
    channels-last, which is the faster layout for convolutions on a processor and no slower on a GPU.
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
            steps: the network in the order of its computation; a step's output is the layer of that name
            strides: per step, how many pixels of the picture one pixel of the layer stands for
            layers: the names of the wanted steps
            mean: per colour, of pictures in [0, 1], subtracted before the first step
            std: per colour, divided by after that
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
        """Stay in eval mode, whatever the model that holds this one does."""
        return self

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """The wanted layers by name, shallow to deep.

        Args:
            pictures: RGB, `(N, 3, H, W)` float in [0, 1]

        Returns:
            per layer `(N, channels, ~H / stride, ~W / stride)`

        Raises:
            PerceptionError: when the pictures are smaller than one pixel of the deepest layer
        """
        height, width = pictures.shape[-2:]
        if min(height, width) < self.stride:
            raise PerceptionError(
                f"pictures of {height}×{width} pixels are too small for layer {self.layers[-1]!r}, "
                f"one pixel of which stands for {self.stride}×{self.stride}: take larger pictures or a shallower layer"
            )
        features = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        found = {}
        for name, step in self.steps.items():
            features = step(features)
            if name in self.layers:
                found[name] = features
        return found
