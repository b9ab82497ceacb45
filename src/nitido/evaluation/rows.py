"""Read and write the long table of results: one row per (model, image, metric), the only input of rankings."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from nitido.base.atomic import write_bytes
from nitido.base.errors import NitidoError

SCHEMA = pl.Schema(
    {
        "study": pl.String,
        "variant": pl.String,
        "lr": pl.Float64,
        "seed": pl.Int64,
        "checkpoint": pl.String,
        "split": pl.String,
        "dataset": pl.String,
        "scale": pl.Int64,
        "image": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
        "protocol": pl.String,
        "run": pl.String,
        "content": pl.String,
    }
)
"""Columns of the table.

`lr`, `seed` and `run` are null for bicubic; `split` is "validation" or "test". `run` is the digest of the identity of
the run whose weights were measured, `content` the SHA-256 of the pixels of the image, because names may be reused.
"""

_CHECKSUM = "nitido.sha256"


class RowsError(NitidoError):
    """A table of results is missing, damaged or inconsistent."""


def table(rows: Iterable[dict[str, object]]) -> pl.DataFrame:
    """Build the long table from dicts; keys that are absent become null."""
    return pl.DataFrame(list(rows), schema=SCHEMA)


def write_rows(rows: pl.DataFrame, path: Path) -> None:
    """Write the table as parquet with a checksum of its values, atomically."""
    content = io.BytesIO()
    rows.write_parquet(content, metadata={_CHECKSUM: _checksum(rows)})
    write_bytes(path, content.getvalue())


def read_rows(paths: Sequence[Path]) -> pl.DataFrame:
    """Read and stack tables.

    Raises:
        RowsError: A table is missing, damaged or of another layout, or its values do not match their checksum.
    """
    tables = [_read(path) for path in paths]
    return pl.concat(tables) if tables else pl.DataFrame(schema=SCHEMA)


def _read(path: Path) -> pl.DataFrame:
    try:
        content = path.read_bytes()  # a path given to polars may be taken for a pattern
        rows = pl.read_parquet(io.BytesIO(content))
        checksum = pl.read_parquet_metadata(io.BytesIO(content)).get(_CHECKSUM)
    except OSError as error:
        raise RowsError(f"{path}: cannot be read as a table of results ({error.strerror})") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = " ".join(str(error).split())[:200]
        raise RowsError(f"{path}: cannot be read as a table of results, damaged or cut short ({reason})") from None
    table = rows.rename({"picture": "image"}, strict=False)  # as version 0.1 called the column
    if table.schema != SCHEMA:
        raise RowsError(f"{path}: not a table of results of this version (columns: {', '.join(rows.columns)})")
    if checksum != _checksum(rows):
        raise RowsError(f"{path} is damaged: its values do not match their checksum")
    return table


def _checksum(rows: pl.DataFrame) -> str:
    """Return a hash of the values, independent of the compression of the file."""
    return hashlib.sha256(repr((rows.columns, rows.rows())).encode()).hexdigest()
