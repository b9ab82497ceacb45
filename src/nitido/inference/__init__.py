"""Trained networks as files, and their use on real pictures."""

from nitido.inference.model_file import (
    LoadedModel,
    ModelDescriptor,
    ModelFileError,
    load_model_file,
    read_descriptor,
    save_model,
)

__all__ = ["LoadedModel", "ModelDescriptor", "ModelFileError", "load_model_file", "read_descriptor", "save_model"]
