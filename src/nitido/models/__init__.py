"""Networks with their weights: model files, the zoo, importers, ONNX, and exact inference in tiles."""

from nitido.models.model_file import (
    LoadedModel,
    ModelDescriptor,
    ModelFileError,
    load_model_file,
    read_descriptor,
    save_model,
)

__all__ = ["LoadedModel", "ModelDescriptor", "ModelFileError", "load_model_file", "read_descriptor", "save_model"]
