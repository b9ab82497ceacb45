"""The gain of a variant over images whose content is made to drive it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from nitido.data import ImageSet, Store, prepare
from nitido.evaluation.rows import table
from nitido.study.gains_by_content import study_content
from nitido.study.leaderboard import Leaderboard, VariantFacts, rank
from nitido.study.report.gain_scatter import draw_content


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Fourteen images of waves, from coarse to fine."""
    folder = tmp_path_factory.mktemp("waves")
    rows, columns = np.mgrid[:48, :48]
    for index in range(14):
        plane = 128 + 80 * np.sin(2 * np.pi * (0.02 + 0.03 * index) * (rows + 0.3 * columns))
        Image.fromarray(np.repeat(plane.astype(np.uint8)[..., None], 3, 2)).save(folder / f"{index:02}.png")
    return prepare(ImageSet("waves", tuple(sorted(folder.iterdir()))), [2], tmp_path_factory.mktemp("packs"))


def study(store: Store, gain, images: int = 14) -> tuple[pl.DataFrame, Leaderboard]:
    def row(variant: str, lr: float | None, split: str, image: str, value: float) -> dict[str, object]:
        fixed = {"study": "s", "seed": None if lr is None else 0, "checkpoint": "", "scale": 2, "protocol": "p"}
        own = {"variant": variant, "lr": lr, "split": split, "image": image, "metric": "psnr_y", "value": value}
        return fixed | own | {"dataset": "waves"}

    rows = []
    for index, image in enumerate(store.names[:images]):
        for variant, lr, value in (("bicubic", None, 30), ("base", 1e-3, 31), ("better", 1e-3, 31 + gain(index))):
            rows += [row(variant, lr, "test", image, value), row(variant, lr, "validation", image, value)]
    facts = {"bicubic": VariantFacts(0, 0), "base": VariantFacts(1, 1), "better": VariantFacts(1, 1)}
    found = table(rows)
    return found, rank(found, facts, study="s", profile="p", baseline="base")


def test_a_gain_on_fine_texture_is_found_described_and_drawn(store: Store, tmp_path: Path) -> None:
    rows, board = study(store, lambda index: 0.1 + 0.05 * index)
    found = study_content(rows, board, {"waves": store})
    assert found is not None
    strongest = {r.descriptor: r.correlation for r in found.relations}
    assert strongest["dominant frequency"] == pytest.approx(1, abs=0.02)
    assert "better gains most over base on images with" in found.sentence
    assert "over 14 images" in found.sentence
    draw_content(found, tmp_path / "content.png")
    with Image.open(tmp_path / "content.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert (pixels == (213, 94, 0)).all(axis=2).sum() > 200, "a line shows the relation"


def test_an_image_that_is_in_two_test_sets_counts_once(store: Store) -> None:
    rows, _ = study(store, lambda index: 0.1 + 0.05 * index)
    rows = rows.with_columns(content=pl.concat_str(pl.lit("sha of "), "image"))
    again = rows.filter(pl.col("split") == "test").with_columns(dataset=pl.lit("again"))
    facts = {name: VariantFacts(0, 0) for name in ("bicubic", "base", "better")}
    both = pl.concat([rows, again])
    found = study_content(
        both, rank(both, facts, study="s", profile="p", baseline="base"), {"waves": store, "again": store}
    )
    assert found is not None
    assert len(found.images) == 14


def test_a_gain_by_chance_is_not_significant(store: Store, tmp_path: Path) -> None:
    noise = np.random.default_rng(5).normal(0.3, 0.1, 14)
    rows, board = study(store, lambda index: float(noise[index]))
    found = study_content(rows, board, {"waves": store})
    assert found is not None
    assert found.sentence.endswith("is not significantly correlated with any measured property of the 14 images.")
    draw_content(found, tmp_path / "content.png")
    with Image.open(tmp_path / "content.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert not (pixels == (213, 94, 0)).all(axis=2).any()


def test_few_images_say_nothing(store: Store) -> None:
    rows, board = study(store, lambda index: 1.0 + index, images=4)
    found = study_content(rows, board, {"waves": store})
    assert found is not None
    assert found.relations == ()
    assert found.sentence == "4 test images are too few to tell on which of them better helps."


def test_if_the_baseline_is_best_its_gain_over_bicubic_is_used(store: Store) -> None:
    rows, board = study(store, lambda index: -0.5)
    found = study_content(rows, board, {"waves": store})
    assert found is not None
    assert (found.variant, found.base) == ("base", "bicubic")


def test_a_base_without_results_leaves_nothing_to_say(store: Store) -> None:
    rows, _ = study(store, lambda index: 0.1)
    rows = rows.filter(pl.col("variant") != "base")
    facts = {"bicubic": VariantFacts(0, 0), "base": VariantFacts(1, 1, "missing"), "better": VariantFacts(1, 1)}
    board = rank(rows, facts, study="s", profile="p", baseline="base")
    assert study_content(rows, board, {"waves": store}) is None
