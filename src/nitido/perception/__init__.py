"""Perceptual distances between images: distances between features of networks trained to recognize objects."""

from nitido.perception.backbone import Backbone, PerceptionError
from nitido.perception.distance import PerceptualDistance, PerceptualOptions
from nitido.perception.named_backbones import BACKBONES, BackboneKind, build_backbone

__all__ = [
    "BACKBONES",
    "Backbone",
    "BackboneKind",
    "PerceptionError",
    "PerceptualDistance",
    "PerceptualOptions",
    "build_backbone",
]
