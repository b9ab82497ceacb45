"""From what a user calls a model to a network: a run directory, a model file, or a name of the zoo."""

from pathlib import Path

from nitido.base.errors import unknown_name
from nitido.base.notes import note
from nitido.imaging import FORMATS
from nitido.models.model_file import LoadedModel, ModelFileError, WrongScaleError, load_model_file, read_descriptor
from nitido.models.zoo.shipped import zoo_names, zoo_path

WEIGHTS = "model.safetensors"
"""The name of the model file in a run directory."""


def find_model(name_or_path: str | Path, scale: int | None = None) -> LoadedModel:
    """Load the model of a run directory, a `.safetensors` file or the zoo; raises `ModelFileError` in one line.

    `scale` is one of those that the model serves; without it the network is at the first of them.
    """
    path = model_path(name_or_path)
    _check_kind(path)
    try:
        return load_model_file(path, scale)
    except WrongScaleError as error:
        raise WrongScaleError(f"{error}{_zoo_at(scale, path)}") from None


def model_path(name_or_path: str | Path) -> Path:
    """The model file that a run directory holds, the file itself, or the file that the zoo has under this name.

    A name of the zoo wins over a file or directory of the same name, so that it means the same network in every
    directory: write `./edsr-x2`, or give a `Path`, for the one that is there. Raises `ModelFileError` for a directory
    without a model, for the bare word `bicubic`, and for a word that is neither a path nor a name: it then says the
    nearest name.
    """
    path = Path(name_or_path)
    bare = str(name_or_path) == path.name and not path.suffix  # "./edsr-x2" is a path on purpose
    given_as_path = isinstance(name_or_path, Path) and path.exists()
    names = zoo_names()
    if bare and not given_as_path and path.name in names:
        if path.exists():
            note(f"{path.name} is the model of the zoo; for the one in this directory write ./{path.name}")
        return zoo_path(path.name)
    if bare and not given_as_path and path.name.lower() == "bicubic":
        raise ModelFileError(
            f"{path}: 'bicubic', in small letters, stands for a model in evaluate, compare and upscale"
        )
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
    """Raise `ModelFileError` for a file whose name says that it is something else, before it is called damaged."""
    if not path.is_file():
        return
    suffix = path.suffix.lower()
    if suffix in FORMATS:
        raise ModelFileError(
            f"{path}: a picture, not a model (a run directory, a .safetensors file, a name of the zoo)"
        )
    if suffix in (".pth", ".pt", ".h5", ".keras", ".npz"):
        raise ModelFileError(f"{path}: foreign weights: make a model of them by nitido model import {path} -o FILE")
    if suffix == ".onnx":
        raise ModelFileError(f"{path}: an ONNX file is for nitido upscale: name the model that it was made of")


def _zoo_at(scale: int | None, path: Path) -> str:
    """Say which models of the zoo serve `scale`, those of the family of the model at `path` if it has any."""
    serving = [(name, model) for name in zoo_names() if scale in (model := read_descriptor(zoo_path(name))).scales]
    family = read_descriptor(path).architecture
    names = [name for name, model in serving if model.architecture == family] or [name for name, _ in serving]
    return f"; the zoo has {', '.join(names)}" if names else "; the zoo has no other that does"


def _hint(folder: Path) -> str:
    """What to name in place of `folder`: the runs that a study's directory holds."""
    if not (folder / "study.yaml").exists():
        return " (a run writes it when it has finished)"
    runs = sorted(str(file.parent) for file in folder.glob(f"runs/*/*/*/{WEIGHTS}"))
    if not runs:
        return ": it is a study's, none of whose runs has finished"
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    return f": it is a study's; name one of its runs: {', '.join(runs[:5])}{more}"
