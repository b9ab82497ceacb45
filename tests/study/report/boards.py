"""Boards from rows, for the tests of the report: all shown values come from the real ranking."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from nitido.evaluation.rows import table
from nitido.study.leaderboard import Leaderboard, VariantFacts, rank

WINNER = "pixel_shuffle_residual_leaky_relu"
PARAMETERS = {WINNER: 81_123, "residual": 109_827, "vanilla": 109_827, "bicubic": 0}
SETS: Mapping[str, int] = {"set5": 5, "set14": 14}
RATE = 1e-3


def rows_of(
    scores: Mapping[str, float],
    seeds: int = 3,
    *,
    sets: Mapping[str, int] = SETS,
    spread: float = 0.01,
    distances: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """Rows in which each variant has about its score in dB: `spread` is the deviation of seeds and of images."""
    rng = np.random.default_rng(0)
    difficulty = {(name, i): rng.normal(0, 3) for name, size in sets.items() for i in range(size)}
    rows: list[dict[str, object]] = []
    for variant, score in scores.items():
        trained = variant != "bicubic"
        for seed in range(seeds) if trained else (None,):
            shift = rng.normal(0, spread) if trained else 0.0
            common = {"study": "srcnn", "variant": variant, "lr": RATE if trained else None, "seed": seed}
            common |= {"scale": 3, "protocol": "bt601-y/test/1"}
            if trained:
                common |= {"split": "validation", "dataset": "val", "image": "v"}
                rows.append({**common, "metric": "psnr_y", "value": score})
                rows.append({**common, "metric": "perceptual_distance", "value": 0.4})
            for (name, i), hard in difficulty.items():
                where = {**common, "split": "test", "dataset": name, "image": f"{name}_{i}"}
                noise = rng.normal(0, spread)
                rows.append({**where, "metric": "psnr_y", "value": score + hard + shift + noise})
                rows.append({**where, "metric": "ssim_y", "value": 0.9 + 0.001 * (score - 30)})
                if distances is not None:
                    value = distances[variant] * (1 + 0.01 * noise) + 0.001 * shift
                    rows.append({**where, "metric": "perceptual_distance", "value": value})
    return table(rows)


def board_of(
    rows: pl.DataFrame,
    *,
    broken: Mapping[str, str] | None = None,
    perceptual: Sequence[str] = (),
    baseline: str = "vanilla",
) -> Leaderboard:
    """The leaderboard of the rows; `broken` are variants with another status than ok, with or without rows."""
    names = list(dict.fromkeys([*rows["variant"].to_list(), *(broken or {})]))
    facts = {
        name: VariantFacts(
            parameters=PARAMETERS.get(name, 57_281),
            macs=PARAMETERS.get(name, 57_281) * 100_000,
            status=(broken or {}).get(name, "ok"),
            learning_rates=None if name == "bicubic" else (RATE,),
            objective="perception" if name in perceptual else "fidelity",
        )
        for name in names
    }
    return rank(rows, facts, study="srcnn", profile="demo", baseline=baseline)


def usual(seeds: int = 3, spread: float = 0.01) -> tuple[Leaderboard, pl.DataFrame]:
    """The winner 0.21 dB above vanilla, residual 0.1 dB, bicubic 1.2 dB below."""
    rows = rows_of({WINNER: 33.91, "residual": 33.80, "vanilla": 33.70, "bicubic": 32.49}, seeds, spread=spread)
    return board_of(rows), rows
