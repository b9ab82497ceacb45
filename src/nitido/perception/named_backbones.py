"""The backbones by name."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from nitido.base.errors import unknown_name
from nitido.perception import efficientnet_lite0, vgg19
from nitido.perception.backbone import Backbone, PerceptionError


@dataclass(frozen=True)
class BackboneKind:
    """What is known of a backbone without loading it.

    `strides` names every layer and how many pixels of a picture one of its pixels stands for. `loss_layers` are the
    default for plain differences, `metric_layers` for normalised ones.
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
    """The backbone `name` with its trained weights, as deep as `layers` need it.

    Raises `PerceptionError` for an unknown backbone or layer, naming the nearest, and for missing weights.
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
