"""torch's own files (.pth, .pt) as tensors: only weights are unpickled, and no code of the file is ever run."""

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from nitido.models.importers.archive import DAMAGE, archive_holds, open_archive
from nitido.models.importers.arrays import first_line
from nitido.models.importers.state_dict import unwrap
from nitido.models.model_file import ModelFileError

PICKLE_MAGIC = b"\x80"
"""How a pickle begins, and so a file of torch before 1.6, which is several of them."""

_PICKLE, _SCRIPT = "data.pkl", "constants.pkl"
_NAMED_BY_TORCH = re.compile(r"GLOBAL (\S+)")
_HARMLESS = ("torch.", "collections.")


def is_checkpoint_zip(path: Path) -> bool:
    """Whether the file is a whole zip archive that `torch.save` has written."""
    return archive_holds(path, _PICKLE)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The state dict in a zip archive of `torch.save`, or in the pickles of torch before 1.6.

    Raises `ModelFileError` for damage, for anything that would run code, named, and where there is no state dict.
    """
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols that are refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, error) from None
    except Exception as error:  # torch's reader raises whatever the damage leads to
        raise ModelFileError(f"{path}: not a readable .pth file, damaged or cut short ({first_line(error)})") from None
    return unwrap(path, content)


def _check_archive(path: Path) -> None:
    """Compare the checksums, which torch's own reader does not."""
    try:
        with open_archive(path) as archive:
            if any(Path(name).name == _SCRIPT for name in archive.namelist()):
                raise ModelFileError(f"{path}: a TorchScript archive, which holds code: refused (save its state_dict)")
            damaged = archive.testzip()
    except DAMAGE as error:
        damaged = first_line(error)
    if damaged is not None:
        raise ModelFileError(f"{path}: not a readable .pth file, damaged or cut short ({damaged})")


def _refusal(path: Path, error: pickle.UnpicklingError) -> ModelFileError:
    named = _NAMED_BY_TORCH.search(str(error))
    culprit = named.group(1) if named else next(_suspects(path), None)
    if culprit is None:
        return ModelFileError(f"{path}: not a pickle of plain weights as torch.save writes it: refused")
    return ModelFileError(
        f"{path}: reading it would call {culprit!r}, which may run code: refused (only a state dict can be imported)"
    )


def _suspects(path: Path) -> Iterator[str]:
    """What the pickles in the file would look up beyond torch's own, found without running them."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if Path(name).name == _PICKLE)
            with archive.open(name) as file:
                yield from _globals(file)
    else:
        with path.open("rb") as file:
            yield from _globals(file)


def _globals(file: IO[bytes]) -> Iterator[str]:
    texts: list[str] = []
    try:
        while True:
            for operation, argument, _ in pickletools.genops(file):
                name = ""
                if operation.name in ("GLOBAL", "INST"):
                    name = str(argument).replace(" ", ".")
                elif operation.name == "STACK_GLOBAL":  # takes the two texts before it
                    name = ".".join(texts[-2:])
                elif isinstance(argument, str):
                    texts.append(argument)
                if name and not name.startswith(_HARMLESS):
                    yield " ".join(name.split())
    except (ValueError, IndexError, MemoryError, OverflowError):  # behind the last pickle, or no pickle at all
        return
