"""The available backbones by name."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from nitido.base.errors import unknown_name
from nitido.perception import efficientnet_lite0, vgg19
from nitido.perception.backbone import Backbone, PerceptionError


@dataclass(frozen=True)
class BackboneKind:
    """Properties of a backbone that are known without loading it.

    Attributes:
        build: Loads the backbone with the given layers.
        strides: Number of image pixels per pixel of every layer.
        loss_layers: Default layers for plain differences.
        metric_layers: Default layers for normalized differences.
    """

    build: Callable[[Collection[str]], Backbone]
    strides: Mapping[str, int]
    loss_layers: tuple[str, ...]
    metric_layers: tuple[str, ...]


BACKBONES: Mapping[str, BackboneKind] = {
    "efficientnet_lite0": BackboneKind(
        efficientnet_lite0.efficientnet_lite0,
        efficientnet_lite0.STRIDES,
        loss_layers=("stage1", "stage2", "stage3"),
        metric_layers=("stage1", "stage2", "stage3", "stage5"),
    ),
    "vgg19": BackboneKind(
        vgg19.vgg19,
        vgg19.STRIDES,
        loss_layers=("relu5_4",),
        metric_layers=("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_4"),
    ),
}


def build_backbone(name: str, layers: Collection[str]) -> Backbone:
    """Return the backbone `name` with its trained weights, as deep as `layers` require.

    Raises:
        PerceptionError: The backbone or a layer is unknown (the message names the nearest), or the weights are missing.
    """
    if name not in BACKBONES:
        raise unknown_name("backbone", name, BACKBONES, PerceptionError)
    kind = BACKBONES[name]
    if not layers:
        raise PerceptionError(f"at least one layer of {name} is needed (valid: {', '.join(kind.strides)})")
    for layer in layers:
        if layer not in kind.strides:
            raise unknown_name(f"layer of {name}", layer, kind.strides, PerceptionError)
    return kind.build(layers)
