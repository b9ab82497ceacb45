"""From what a user calls a model to a network: a run directory or a model file."""

from pathlib import Path

from nitido.inference.model_file import LoadedModel, ModelFileError, load_model_file

WEIGHTS = "model.safetensors"
"""The name of the model file in a run directory."""


def find_model(name_or_path: str | Path) -> LoadedModel:
    """Load the model of a run directory, or a `.safetensors` file; raises `ModelFileError` in one line."""
    return load_model_file(model_path(name_or_path))


def model_path(name_or_path: str | Path) -> Path:
    """The model file that a run directory holds, or the file itself; raises `ModelFileError` for an empty directory."""
    path = Path(name_or_path)
    if not path.is_dir():
        return path
    if not (path / WEIGHTS).exists():
        raise ModelFileError(f"{path}: no {WEIGHTS} in this directory (a run writes it when it has finished)")
    return path / WEIGHTS
