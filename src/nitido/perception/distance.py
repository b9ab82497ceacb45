"""Perceptual distances: a loss for training, or, normalized, a metric for evaluation."""

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

    Default layers are the backbone's own: those for a loss or, if normalized, those for a metric.

    >>> PerceptualOptions(backbone="vgg19", layers="relu5_4", feature_scale=12.75).layers
    ('relu5_4',)
    >>> PerceptualOptions(backbone="vgg19").layers
    ('relu5_4',)
    """

    backbone: str = Field(default="efficientnet_lite0", description="the network whose features are compared")
    layers: tuple[str, ...] = Field(
        default=(), description="its layers, as a list or one name; empty: the backbone's defaults"
    )
    weights: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(), description="one per layer; empty: 1 each")
    normalised: bool = Field(
        default=False, description="compare directions of features (a metric like LPIPS) instead of values"
    )
    feature_scale: float = Field(default=1.0, gt=0, description="divides the features; 12.75 in SRGAN")

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, value: str) -> str:
        if value not in BACKBONES:
            raise ValueError(str(unknown_name("backbone", value, BACKBONES)))
        return value

    @model_validator(mode="before")
    @classmethod
    def _explicit_layers(cls, values: Any) -> Any:
        """Fill in the layers, so that a stored configuration keeps its meaning when defaults change."""
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
    """The distance between the features of two images.

    Not normalized (a loss; Johnson et al., ECCV 2016, and Ledig et al., SRGAN, CVPR 2017, with a `feature_scale` of
    12.75): the weighted sum over layers of the mean squared difference of the features divided by `feature_scale`.

    Normalized (a metric; the uncalibrated LPIPS of Zhang et al., CVPR 2018): the features of each pixel are scaled to
    unit length. Their squared differences are summed over channels, averaged over pixels, and averaged over layers by
    weight. The result is between 0 and 4. It differs from the calibrated values of the LPIPS package.

    This is deliberately not an `nn.Module`: a model that has one as an attribute does not store the backbone in its
    checkpoints and does not train it, but must move it to a device with `to`.
    """

    def __init__(self, options: PerceptualOptions | None = None) -> None:
        """Load the backbone; raise `PerceptionError` if its weights are not available."""
        self.options = options or PerceptualOptions()
        self._backbone = build_backbone(self.options.backbone, self.options.layers)
        weights = self.options.weights or (1.0,) * len(self.options.layers)
        self._weights = dict(zip(self.options.layers, weights, strict=True))

    def to(self, device: torch.device | str) -> Self:
        """Move the backbone to `device`."""
        self._backbone.to(device)
        return self

    def __call__(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the mean distance of a batch, a scalar; see `per_image`."""
        return self.per_image(sr, hr).mean()

    def per_image(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Return the distance of each image of `sr` from its reference in `hr`. Only `sr` receives gradients.

        Args:
            sr: `(N, 3, H, W)`, or `(N, 1, H, W)` for gray images, float in [0, 1], on the backbone's device.
            hr: The references, in the same form.

        Returns:
            `(N,)`, float32, zero or positive.

        Raises:
            PerceptionError: The shapes differ, are not those of images, or are too small for the deepest layer.
        """
        if sr.shape != hr.shape:
            raise PerceptionError(f"images of different shapes cannot be compared: {_shape(sr)} and {_shape(hr)}")
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
    """Return the squared distance of unit feature vectors, 2 − 2 cos, averaged over pixels."""
    unit_sr, unit_hr = (functional.normalize(features, dim=1, eps=1e-10) for features in (sr, hr))
    return (unit_sr - unit_hr).square().sum(dim=1).mean(dim=(1, 2))


def _rgb(images: Tensor) -> Tensor:
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise PerceptionError(f"images must have the shape (N, 3, H, W) or (N, 1, H, W), not {_shape(images)}")
    return images.expand(-1, 3, -1, -1)


def _shape(images: Tensor) -> str:
    return f"({', '.join(map(str, images.shape))})"
