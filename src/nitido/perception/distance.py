"""Perceptual distances: as a loss to train with, and normalised as a metric to judge with."""

from typing import Annotated, Any, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor
from torch.nn import functional

from nitido.base.errors import unknown_name
from nitido.base.validation import StrictModel
from nitido.perception.backbone import PerceptionError
from nitido.perception.named_backbones import BACKBONES, build_backbone


class PerceptualOptions(StrictModel):
    """Which features of which backbone are compared, and how.

    Without `layers` the backbone's own are taken: those for a loss, or, if normalised, those for a metric.

    >>> PerceptualOptions(backbone="vgg19", layers="relu5_4", feature_scale=12.75).layers
    ('relu5_4',)
    >>> PerceptualOptions(backbone="vgg19").layers
    ('relu5_4',)
    """

    backbone: str = Field(default="efficientnet_lite0", description="the network whose features are compared")
    layers: tuple[str, ...] = Field(
        default=(), description="its layers; one name will do; empty: the backbone's defaults"
    )
    weights: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(), description="one per layer; empty: 1 each")
    normalised: bool = Field(
        default=False, description="compare directions of features (a metric, LPIPS-like), not values"
    )
    feature_scale: float = Field(default=1.0, gt=0, description="features are divided by it; 12.75 in SRGAN")

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, value: str) -> str:
        if value not in BACKBONES:
            raise ValueError(str(unknown_name("backbone", value, BACKBONES)))
        return value

    @model_validator(mode="before")
    @classmethod
    def _explicit_layers(cls, values: Any) -> Any:
        """Write the layers out, so that a stored configuration keeps its meaning when defaults change."""
        if not isinstance(values, dict):
            return values
        if isinstance(values.get("weights"), str | float | int):
            values = values | {"weights": (values["weights"],)}
        layers = values.get("layers")
        kind = BACKBONES.get(values.get("backbone", cls.model_fields["backbone"].default))
        if isinstance(layers, str):
            return values | {"layers": (layers,)}
        if not layers and kind is not None:
            return values | {"layers": kind.metric_layers if values.get("normalised") else kind.loss_layers}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        valid = BACKBONES[self.backbone].strides
        for layer in self.layers:
            if layer not in valid:
                raise ValueError(str(unknown_name(f"layer of {self.backbone}", layer, valid)))
        if len(set(self.layers)) < len(self.layers):
            raise ValueError(f"a layer is named twice in {', '.join(self.layers)}")
        if self.weights and len(self.weights) != len(self.layers):
            raise ValueError(f"{len(self.weights)} weights for {len(self.layers)} layers ({', '.join(self.layers)})")
        if self.normalised and self.feature_scale != 1:
            raise ValueError("feature_scale has no effect on normalised features: leave it out")
        return self


class PerceptualDistance:
    """The distance between pictures as a backbone sees them.

    Plain (a loss; Johnson et al., ECCV 2016, and Ledig et al., SRGAN, CVPR 2017, whose `feature_scale` is 12.75): the
    weighted sum over layers of the mean squared difference of the features divided by `feature_scale`.

    Normalised (a metric; Zhang et al., LPIPS, CVPR 2018, the uncalibrated form): at each place the features are
    brought to unit length over the channels, their squared differences summed over the channels and averaged over
    places; layers are averaged by weight. Between 0 and 4. These are not the calibrated values of the LPIPS package.

    This is no `nn.Module`, on purpose: a model that holds one as an attribute neither stores the backbone in its
    checkpoints nor trains it, and has to move it itself with `to`.
    """

    def __init__(self, options: PerceptualOptions | None = None) -> None:
        """Load the backbone; raises `PerceptionError` when its weights cannot be had."""
        self.options = options or PerceptualOptions()
        self._backbone = build_backbone(self.options.backbone, self.options.layers)
        weights = self.options.weights or (1.0,) * len(self.options.layers)
        self._weights = dict(zip(self.options.layers, weights, strict=True))

    def to(self, device: torch.device | str) -> Self:
        """Move the backbone to `device`."""
        self._backbone.to(device)
        return self

    def __call__(self, sr: Tensor, hr: Tensor) -> Tensor:
        """The mean distance of a batch, a scalar; see `per_picture`."""
        return self.per_picture(sr, hr).mean()

    def per_picture(self, sr: Tensor, hr: Tensor) -> Tensor:
        """The distance of each picture of `sr` from its counterpart in `hr`; only `sr` receives gradients.

        Args:
            sr: `(N, 3, H, W)`, or `(N, 1, H, W)` for grey pictures, float in [0, 1], on the backbone's device
            hr: the same

        Returns:
            `(N,)`, float32, zero or positive

        Raises:
            PerceptionError: when the shapes differ, are not of pictures, or are too small for the deepest layer
        """
        if sr.shape != hr.shape:
            raise PerceptionError(f"pictures of unequal shapes cannot be compared: {_shape(sr)} and {_shape(hr)}")
        with torch.no_grad():
            wanted = self._backbone(_rgb(hr))
        found = self._backbone(_rgb(sr))
        difference = _angular if self.options.normalised else self._squared
        terms = [
            weight * difference(found[layer].float(), wanted[layer].float()) for layer, weight in self._weights.items()
        ]
        total = torch.stack(terms).sum(dim=0)
        return total / sum(self._weights.values()) if self.options.normalised else total

    def _squared(self, sr: Tensor, hr: Tensor) -> Tensor:
        return ((sr - hr) / self.options.feature_scale).square().mean(dim=(1, 2, 3))


def _angular(sr: Tensor, hr: Tensor) -> Tensor:
    """The squared distance of unit feature vectors, 2 − 2 cos, averaged over places."""
    unit_sr, unit_hr = (functional.normalize(features, dim=1, eps=1e-10) for features in (sr, hr))
    return (unit_sr - unit_hr).square().sum(dim=1).mean(dim=(1, 2))


def _rgb(pictures: Tensor) -> Tensor:
    if pictures.ndim != 4 or pictures.shape[1] not in (1, 3):
        raise PerceptionError(f"pictures must have the shape (N, 3, H, W) or (N, 1, H, W), not {_shape(pictures)}")
    return pictures.expand(-1, 3, -1, -1)


def _shape(pictures: Tensor) -> str:
    return f"({', '.join(map(str, pictures.shape))})"
