"""Everything that ships: weights with cards, small, sound, and without traces of the machine that made them."""

import re

import torch

from nitido.inference import load_model_file
from nitido.zoo import zoo_names, zoo_path
from nitido.zoo.catalog import FOLDER
from nitido.zoo.listing import DATASETS, published

LIMIT = 25 << 20

ABSOLUTE_PATH = re.compile(r"(?:^|[\s='\",(])(?:/\w+/|[A-Z]:\\)", re.MULTILINE)


def test_every_file_of_weights_has_its_card_and_the_other_way_round() -> None:
    assert {path.stem for path in FOLDER.glob("*.safetensors")} == {path.stem for path in FOLDER.glob("*.md")}


def test_the_zoo_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) <= LIMIT


def test_every_model_loads_and_was_published() -> None:
    for name in zoo_names():
        network, descriptor = load_model_file(zoo_path(name))
        facts = published(descriptor)
        assert descriptor.name == name
        assert all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values())
        assert network.scale in facts.metrics
        assert facts.bfloat16_cost_db.keys() == facts.metrics.keys()
        assert all(set(DATASETS) <= means.keys() for means in facts.metrics.values())


def test_every_card_tells_figures_licence_and_command() -> None:
    for name in zoo_names():
        card = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        facts = published(load_model_file(zoo_path(name)).descriptor)
        assert card.startswith(f"# {name}\n")
        assert f"{facts.licence}." in card
        assert "nitido train" in card
        for means in facts.metrics.values():
            assert all(f"{means[dataset]['psnr_y']:.2f}" in card for dataset in DATASETS)


def test_no_folder_of_the_machine_that_made_them_is_told() -> None:
    for name in zoo_names():
        descriptor = load_model_file(zoo_path(name)).descriptor.model_dump_json()
        card = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        assert ABSOLUTE_PATH.search(descriptor) is None
        assert ABSOLUTE_PATH.search(card) is None


def test_what_counts_as_a_folder_of_a_machine() -> None:
    for told in ("--set data.train=/home/me/photos", '{"train":["/srv/photos"]}', "C:\\photos"):
        assert ABSOLUTE_PATH.search(told)
    for harmless in ("./photos49", "kernel_sizes 9/1/5", "<https://example.org/wiki/File>", "bt601-y/uint8"):
        assert ABSOLUTE_PATH.search(harmless) is None
