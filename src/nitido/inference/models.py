"""From what a user calls a model to a network: a run directory or a model file."""

from pathlib import Path

from nitido.inference.model_file import LoadedModel, ModelFileError, load_model_file

WEIGHTS = "model.safetensors"
"""The name of the model file in a run directory."""


def find_model(name_or_path: str | Path) -> LoadedModel:
    """Load the model of a run directory, or a `.safetensors` file; raises `ModelFileError` in one line."""
    path = Path(name_or_path)
    if path.is_dir():
        if not (path / WEIGHTS).exists():
            raise ModelFileError(f"{path}: no {WEIGHTS} in this directory (a run writes it when it has finished)")
        path = path / WEIGHTS
    return load_model_file(path)
