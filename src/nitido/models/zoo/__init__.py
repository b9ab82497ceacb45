"""Trained weights that ship with nitido, each with a card that says what it is and where it comes from."""

from nitido.models.zoo.shipped import ZooError, zoo_names, zoo_path

__all__ = ["ZooError", "zoo_names", "zoo_path"]
