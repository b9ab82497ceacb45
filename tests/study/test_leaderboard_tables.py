"""The CSV is numbers: pandas-like readers find every figure of the leaderboard unrounded."""

import io

import polars as pl
import pytest

from nitido.study.leaderboard_tables import COMPARISON, FIXED, as_csv
from tests.study.test_leaderboard import FACTS, board, reference, run_rows, seeded


def test_every_cell_is_a_number_or_a_word() -> None:
    found = board([*reference(), *seeded("vanilla", 1.0), *seeded("better", 1.5)])
    table = pl.read_csv(io.StringIO(as_csv(found)), infer_schema_length=None)
    assert table.columns[: len(FIXED)] == list(FIXED)
    assert table.columns[-len(COMPARISON) :] == list(COMPARISON)
    words = {"variant", "status", "objective", "significant"}
    for name in set(table.columns) - words:
        assert table[name].dtype.is_numeric() or table[name].null_count() == len(table), name
    for line, entry in zip(table.iter_rows(named=True), found.ranked("fidelity"), strict=True):
        assert (line["rank"], line["variant"], line["seeds"]) == (entry.rank, entry.variant, len(entry.seeds) or None)
        for dataset, metrics in entry.means.items():
            for metric, value in metrics.items():
                assert line[f"{dataset} {metric}"] == pytest.approx(value, abs=1e-12)
        known = found.versus_baseline(entry.variant, "fidelity")
        if known is not None and known.difference is not None and known.difference.interval is not None:
            assert line["difference"] == pytest.approx(known.difference.value, abs=1e-12)
            assert line["difference_low"] < line["difference"] < line["difference_high"]
    assert dict(zip(table["variant"], table["significant"], strict=True))["better"] == "yes (better)"


def test_a_variant_without_figures_has_empty_cells() -> None:
    rows = [*reference(), *run_rows("plain", 1e-3, 0, 30.0, (30.0, 28.0))]
    text = as_csv(board(rows, FACTS))
    table = pl.read_csv(io.StringIO(text), infer_schema_length=None)
    missing = table.filter(pl.col("rank").is_null())
    assert len(missing) > 0
    assert missing["status"].to_list() != ["ok"] * len(missing)
    figures = [name for name in table.columns if " psnr_y" in name]
    assert all(missing[name].null_count() == len(missing) for name in figures)
