"""The long table: one row per (model, picture, metric). Everything that ranks reads this, never a model."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from nitido.atomic import write_bytes
from nitido.errors import NitidoError

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
        "picture": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
        "protocol": pl.String,
    }
)
"""Columns of the table. `lr` and `seed` are null for bicubic; `split` is "validation" or "test"."""


class RowsError(NitidoError):
    """A table of results is missing, damaged, or mixes what must not be mixed."""


def table(rows: Iterable[dict[str, object]]) -> pl.DataFrame:
    """Build the long table from dicts; keys that are absent become null."""
    return pl.DataFrame(list(rows), schema=SCHEMA)


def write_rows(rows: pl.DataFrame, path: Path) -> None:
    """Write the table as parquet, atomically."""
    content = io.BytesIO()
    rows.write_parquet(content)
    write_bytes(path, content.getvalue())


def read_rows(paths: Sequence[Path]) -> pl.DataFrame:
    """Read and stack tables. Raises `RowsError` when one is missing, damaged or of another layout."""
    tables = []
    for path in paths:
        try:
            found = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise RowsError(f"{path}: cannot be read as a table of results ({str(error).splitlines()[0]})") from None
        if found.schema != SCHEMA:
            raise RowsError(f"{path}: not a table of results of this version (columns: {', '.join(found.columns)})")
        tables.append(found)
    return pl.concat(tables) if tables else pl.DataFrame(schema=SCHEMA)
