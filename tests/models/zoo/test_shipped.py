"""Everything that ships: weights with cards, small, sound, and without traces of the machine that made them."""

import hashlib
import re

import torch
from safetensors import safe_open

from nitido.models import load_model_file
from nitido.models.zoo import zoo_names, zoo_path
from nitido.models.zoo.listing import DATASETS, published
from nitido.models.zoo.shipped import FOLDER

LIMIT = 25 << 20

ABSOLUTE_PATH = re.compile(r"(?:^|[\s='\",(])(?:/\w+/|[A-Z]:\\)", re.MULTILINE)

PUBLISHED = {
    "edsr-x2": "013efe1689ca5c4ae59d8be6e8c736fe212e16ebb8d263627ad574c4b8730f9c",
    "edsr-x4": "58f4daedf4bc5926f35d3160d3757d251313b83baca0b48a7d78c42e75e6d9bb",
    "rdn-x2": "5bdbaf07cb0f02a378ee7a2e2fd939c65372f626d8e7ea3cfea682b1f6669b82",
    "srcnn-x2": "ff309206b51f2ed8ba9b9be4ac018dfc1865bebbcf5cb0fc555b31518209a3d2",
    "srgan-x4": "a6b0bb8ed928c2372756b3da5d831058b8304f20fe8407653ea6a108eba3fb3b",
    "srresnet-x4": "299e240fc898f73293bddcfa4f3210dbd1f89a2f6c9f397a8e59f15e78b1f1f7",
    "vdsr": "4e1a3d38531231b5f999075cb59fd14c8805bb8299e11f686ba1fe931a44d10c",
}
"""SHA-256 of each file behind its header, as it was trained and measured."""


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


def test_every_card_states_figures_licence_and_command() -> None:
    for name in zoo_names():
        card = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        facts = published(load_model_file(zoo_path(name)).descriptor)
        assert card.startswith(f"# {name}\n")
        assert f"{facts.licence}." in card
        assert "nitido train" in card
        for means in facts.metrics.values():
            assert all(f"{means[dataset]['psnr_y']:.2f}" in card for dataset in DATASETS)


def test_shipped_models_contain_no_machine_paths() -> None:
    for name in zoo_names():
        descriptor = load_model_file(zoo_path(name)).descriptor.model_dump_json()
        card = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        assert ABSOLUTE_PATH.search(descriptor) is None
        assert ABSOLUTE_PATH.search(card) is None


def test_machine_paths_are_recognized() -> None:
    for text in ("--set data.train=/home/me/photos", '{"train":["/srv/photos"]}', "C:\\photos"):
        assert ABSOLUTE_PATH.search(text)
    for harmless in ("./photos49", "kernel_sizes 9/1/5", "<https://example.org/wiki/File>", "bt601-y/uint8"):
        assert ABSOLUTE_PATH.search(harmless) is None


def test_every_model_has_a_checksum_and_the_measured_bytes() -> None:
    found = {}
    for name in zoo_names():
        content = zoo_path(name).read_bytes()
        found[name] = hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
        with safe_open(zoo_path(name), framework="pt") as file:
            assert file.metadata()["nitido_checksum"].startswith("sha256:")
    assert found == PUBLISHED
