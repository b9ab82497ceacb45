"""Trained weights that ship with nitido, each with a model card."""

from nitido.models.zoo.shipped import ZooError, zoo_names, zoo_path

__all__ = ["ZooError", "zoo_names", "zoo_path"]
