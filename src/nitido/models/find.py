"""Finds the network that a user names by a run directory, a model file or a name of the zoo."""

from pathlib import Path

from nitido.base.errors import unknown_name
from nitido.base.notes import note
from nitido.imaging import FORMATS
from nitido.models.model_file import LoadedModel, ModelFileError, WrongScaleError, load_model_file, read_descriptor
from nitido.models.zoo.shipped import zoo_names, zoo_path

WEIGHTS = "model.safetensors"
"""Name of the model file in a run directory."""


def find_model(name_or_path: str | Path, scale: int | None = None) -> LoadedModel:
    """Load the model of a run directory, a `.safetensors` file or the zoo.

    Args:
        name_or_path: As in `model_path`.
        scale: One of the model's scales; by default its first one.

    Raises:
        ModelFileError: There is no such model, it cannot be read, or it does not support the scale.
    """
    path = model_path(name_or_path)
    _check_kind(path)
    try:
        return load_model_file(path, scale)
    except WrongScaleError as error:
        raise WrongScaleError(f"{error}{_zoo_at(scale, path)}") from None


def model_path(name_or_path: str | Path) -> Path:
    """Return the model file of a run directory, the file itself, or the file of a name in the zoo.

    A name of the zoo takes precedence over a file or directory with this name, so that it means the same network in
    every directory. Write `./edsr-x2`, or pass a `Path`, for the latter.

    Raises:
        ModelFileError: A directory without a model, the name `bicubic`, or a word that is neither a path nor a name;
            the message suggests the nearest name.
    """
    path = Path(name_or_path)
    bare = str(name_or_path) == path.name and not path.suffix  # "./edsr-x2" is a path on purpose
    given_as_path = isinstance(name_or_path, Path) and path.exists()
    names = zoo_names()
    if bare and not given_as_path and path.name in names:
        if path.exists():
            note(f"{path.name} is a model of the zoo; for the one in this directory write ./{path.name}")
        return zoo_path(path.name)
    if bare and not given_as_path and path.name.lower() == "bicubic":
        raise ModelFileError(f"{path}: only evaluate, compare and upscale accept 'bicubic' (in lower case) as a model")
    if path.is_dir():
        if not (path / WEIGHTS).exists():
            raise ModelFileError(f"{path}: no {WEIGHTS} in this directory{_hint(path)}")
        return path / WEIGHTS
    if path.exists() or not bare:
        return path
    scales = [name for name in names if name.lower().startswith(f"{path.name.lower()}-")]
    if scales:
        raise ModelFileError(f"{path}: no such model file or run directory; the zoo has {', '.join(scales)}")
    unknown = f", and {unknown_name('model of the zoo', path.name, names)}" if names else ""
    raise ModelFileError(f"{path}: no such model file or run directory{unknown}")


def _check_kind(path: Path) -> None:
    """Raise `ModelFileError` for a file whose suffix is that of another kind of file, instead of calling it damaged."""
    if not path.is_file():
        return
    suffix = path.suffix.lower()
    if suffix in FORMATS:
        raise ModelFileError(
            f"{path}: an image, not a model (a run directory, a .safetensors file or a name of the zoo)"
        )
    if suffix in (".pth", ".pt", ".h5", ".keras", ".npz"):
        raise ModelFileError(f"{path}: third-party weights: import them with nitido model import {path} -o FILE")
    if suffix == ".onnx":
        raise ModelFileError(f"{path}: only nitido upscale supports ONNX files: specify the model that was exported")


def _zoo_at(scale: int | None, path: Path) -> str:
    """Return in words which models of the zoo support `scale`, if possible of the family of the model at `path`."""
    serving = [(name, model) for name in zoo_names() if scale in (model := read_descriptor(zoo_path(name))).scales]
    family = read_descriptor(path).architecture
    names = [name for name, model in serving if model.architecture == family] or [name for name, _ in serving]
    return f"; the zoo has {', '.join(names)}" if names else "; no model of the zoo does"


def _hint(folder: Path) -> str:
    """Return a suggestion for a folder without a model: the runs of a study's directory."""
    if not (folder / "study.yaml").exists():
        return " (a run writes it when it has finished)"
    runs = sorted(str(file.parent) for file in folder.glob(f"runs/*/*/*/{WEIGHTS}"))
    if not runs:
        return ": it is the directory of a study without finished runs"
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    return f": it is the directory of a study; specify one of its runs: {', '.join(runs[:5])}{more}"
