"""The SHA-256 of a file."""

import hashlib
from pathlib import Path


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of the content of `path` in hexadecimal; raise `OSError` if it cannot be read.

    The file is read in parts, so memory does not grow with its size.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
