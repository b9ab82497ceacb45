"""Reads PyTorch files (.pth, .pt): only weights are unpickled, and no code in the file is run."""

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
"""The start of a pickle, and thus of a file of PyTorch before 1.6, which consists of several pickles."""

_PICKLE, _SCRIPT = "data.pkl", "constants.pkl"
_NAMED_BY_TORCH = re.compile(r"GLOBAL (\S+)")
_HARMLESS = ("torch.", "collections.")


def is_checkpoint_zip(path: Path) -> bool:
    """Return whether the file is a complete zip archive written by `torch.save`."""
    return archive_holds(path, _PICKLE)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a zip archive of `torch.save` or in the pickles of PyTorch before 1.6.

    Raises:
        ModelFileError: The file is damaged, would run code (the message names it), or contains no state dict.
    """
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols, which are refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, error) from None
    except Exception as error:  # damage may lead to any exception
        raise ModelFileError(f"{path}: not a readable .pth file, damaged or truncated ({first_line(error)})") from None
    return unwrap(path, content)


def _check_archive(path: Path) -> None:
    """Verify the checksums, which PyTorch's reader does not."""
    try:
        with open_archive(path) as archive:
            if any(Path(name).name == _SCRIPT for name in archive.namelist()):
                raise ModelFileError(f"{path}: a TorchScript archive, which has code: refused (save its state_dict)")
            damaged = archive.testzip()
    except DAMAGE as error:
        damaged = first_line(error)
    if damaged is not None:
        raise ModelFileError(f"{path}: not a readable .pth file, damaged or truncated ({damaged})")


def _refusal(path: Path, error: pickle.UnpicklingError) -> ModelFileError:
    named = _NAMED_BY_TORCH.search(str(error))
    culprit = named.group(1) if named else next(_suspects(path), None)
    if culprit is None:
        return ModelFileError(f"{path}: not a pickle of plain weights as torch.save writes it: refused")
    return ModelFileError(
        f"{path}: reading it would call {culprit!r}, which may run code: refused (only a state dict can be imported)"
    )


def _suspects(path: Path) -> Iterator[str]:
    """Yield the globals outside torch that the pickles would import, without running them."""
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
                elif operation.name == "STACK_GLOBAL":  # its operands are the two previous strings
                    name = ".".join(texts[-2:])
                elif isinstance(argument, str):
                    texts.append(argument)
                if name and not name.startswith(_HARMLESS):
                    yield " ".join(name.split())
    except (ValueError, IndexError, MemoryError, OverflowError):  # after the last pickle, or not a pickle
        return
