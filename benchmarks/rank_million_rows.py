"""Measure the time of the statistics of a leaderboard: a typical study, and one of a million rows.

Example: python benchmarks/rank_million_rows.py --json -
"""

import time
from typing import Annotated

import numpy as np
import polars as pl
import typer

from nitido.cli.console import JSON_TO_STDOUT, print_table, write_json_output
from nitido.evaluation.rows import SCHEMA
from nitido.study.statistics import analyze

STUDIES = {"usual": (8, {"set5": 5, "set14": 14, "bsd200": 200}), "million": (20, {"a": 5000, "b": 5000})}
"""Name -> variants, and images of each test set."""
SEEDS = 5


def simulate(variants: int, sets: dict[str, int], seeds: int = SEEDS) -> pl.DataFrame:
    """Return rows of variants that differ only by noise: 0.02 dB per seed and 0.03 dB per image."""
    rng = np.random.default_rng(0)
    names = [(dataset, f"{i:05}") for dataset, size in sets.items() for i in range(size)]
    difficulty = 30 + 3 * rng.standard_normal((len(names), 1))
    values = difficulty + 0.02 * rng.standard_normal((variants, 1, seeds))
    values = values + 0.03 * rng.standard_normal((variants, len(names), seeds))
    places = pl.DataFrame(names, schema=["dataset", "image"], orient="row")
    rows = pl.DataFrame({"variant": [f"v{i}" for i in range(variants)]}).join(places, how="cross")
    rows = rows.join(pl.DataFrame({"seed": range(seeds)}), how="cross").with_columns(value=pl.Series(values.ravel()))
    constants = {"study": "s", "checkpoint": "best", "split": "test", "scale": 2, "metric": "psnr_y"}
    constants |= {"protocol": "p", "lr": 1e-3, "run": "r", "content": "c"}
    rows = rows.with_columns(**{name: pl.lit(value) for name, value in constants.items()})
    return rows.select(SCHEMA.names()).cast(dict(SCHEMA))


def main(
    json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the figures to FILE.")] = None,
) -> None:
    """Time the ranking of simulated studies, in seconds of the processor and of the clock."""
    measured = {}
    for name, (variants, sets) in STUDIES.items():
        rows = simulate(variants, sets)
        clock, processor = time.perf_counter(), time.process_time()
        analyze(rows, "v0", higher_is_better=True)
        measured[name] = {
            "rows": len(rows),
            "seconds": time.perf_counter() - clock,
            "processor_seconds": time.process_time() - processor,
        }
    if json:
        write_json_output({"studies": measured}, json)
    if json != JSON_TO_STDOUT:
        lines = [
            [name, f"{m['rows']:,}", f"{m['seconds']:.2f}", f"{m['processor_seconds']:.2f}"]
            for name, m in measured.items()
        ]
        print_table("Ranking", ["study", "rows", "seconds", "processor seconds"], lines)


if __name__ == "__main__":
    typer.run(main)
