import json
from pathlib import Path

import pytest

from nitido.architectures import build, get_architecture
from nitido.base.json_files import write_json
from nitido.evaluation.cost import count
from nitido.models import ModelDescriptor, save_model
from nitido.study.report import costs
from nitido.study.report.costs import choose_effort, measure_costs
from tests.forked.server import quick_measurements


def saved(folder: Path, width: int) -> Path:
    family = get_architecture("edsr")
    network = build("edsr", family.config_class.parse({"scale": 2, "blocks": 1, "width": width}, "test"))
    path = folder / f"{width}.safetensors"
    save_model(path, network, ModelDescriptor.of(network, "edsr", f"w{width}"))
    return path


def test_costs_are_measured_once_and_kept_by_the_hash_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "ROUNDS", 3)
    models = {"small": saved(tmp_path, 4), "large": saved(tmp_path, 32)}
    sizes = {"small": (1, 2), "large": (3, 4), "diverged": (5, 6)}
    cache = tmp_path / "cost.json"
    first = measure_costs(models, sizes, cache)
    small, large = first.by_variant["small"], first.by_variant["large"]
    assert small.latency is not None
    assert large.latency is not None
    assert small.latency < large.latency
    assert small.peak_memory is not None
    assert large.peak_memory is not None
    assert small.peak_memory < large.peak_memory
    family = get_architecture("edsr")
    network = build("edsr", family.config_class.parse({"scale": 2, "blocks": 1, "width": 32}, "test"))
    assert large.activations == count(network).activations
    assert large.macs_small == count(network).macs_small
    assert first.by_variant["diverged"].latency is None
    assert f"{first.side}×{first.side}" in first.conditions

    record = json.loads(cache.read_text())
    for measured in record["models"].values():
        measured["latency"] = 123.0
    del record["checksum"]
    write_json(cache, record)
    renamed = measure_costs({"other": models["small"]}, {"other": (1, 2)}, cache)
    assert renamed.by_variant["other"].latency == 123.0, "known by its hash, not by its name, and not timed again"
    assert renamed.by_variant["other"].peak_memory == small.peak_memory

    cache.write_text("{not json", encoding="utf-8")
    again = measure_costs({"small": models["small"]}, {"small": (1, 2)}, cache)
    assert again.by_variant["small"].latency is not None
    assert len(json.loads(cache.read_text())["models"]) == 1


@pytest.mark.parametrize("signed", [True, False])
def test_an_edited_record_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, signed: bool) -> None:
    for module, name, value in quick_measurements():
        monkeypatch.setattr(module, name, value)
    models, sizes, cache = {"small": saved(tmp_path, 4)}, {"small": (1, 2)}, tmp_path / "cost.json"
    measure_costs(models, sizes, cache)
    record = json.loads(cache.read_text())
    for measured in record["models"].values():
        measured["latency"] = 123.0
    if not signed:
        del record["checksum"]
    cache.write_text(json.dumps(record))
    latency = measure_costs(models, sizes, cache).by_variant["small"].latency
    assert latency is not None
    assert latency < 123.0


def test_nothing_shown_costs_nothing(tmp_path: Path) -> None:
    found = measure_costs({}, {"vanilla": (5, 6)}, tmp_path / "cost.json")
    assert found.by_variant["vanilla"].parameters == 5
    assert not list(tmp_path.iterdir())


def test_heavier_networks_are_timed_on_smaller_images_and_in_fewer_rounds(tmp_path: Path) -> None:
    family = get_architecture("edsr")
    network = build("edsr", family.config_class.parse({"scale": 2, "blocks": 4, "width": 32}, "test")).eval()
    wide, many = choose_effort({"n": network}, budget=1e6)
    narrow, few = choose_effort({"n": network}, budget=1e-4)
    assert (wide, many) == (256, 9)
    assert (narrow, few) == (32, 1)
