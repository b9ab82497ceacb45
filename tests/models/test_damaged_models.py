"""Tests that damaged model files are refused with one line and bounded memory."""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nitido.architectures import build, resolve_config
from nitido.cli import main
from nitido.models import ModelDescriptor, ModelFileError, load_model_file, read_descriptor, save_model
from nitido.models.find import find_model
from nitido.models.model_file import METADATA_KEY
from nitido.models.zoo import zoo_names, zoo_path

LENGTH = 8


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    network = build("edsr", resolve_config("edsr", "debug", {}))
    save_model(tmp_path / "m.safetensors", network, ModelDescriptor.of(network, "edsr", "tiny"))
    return tmp_path / "m.safetensors"


def refused(path: Path, message: str = "damaged|descriptor") -> None:
    for read in (load_model_file, read_descriptor, find_model):
        with pytest.raises(ModelFileError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def load_refused(path: Path, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model_file(path)
    assert "\n" not in str(caught.value)


def header_of(path: Path) -> tuple[dict[str, Any], bytes]:
    content = path.read_bytes()
    end = LENGTH + int.from_bytes(content[:LENGTH], "little")
    return json.loads(content[LENGTH:end]), content[end:]


def write(path: Path, header: dict[str, Any] | bytes, data: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(LENGTH, "little") + text + data)


def without_checksum(path: Path) -> None:
    """The file as an earlier version wrote it: the same tensors and descriptor, no checksum."""
    with safe_open(path, framework="pt") as file:
        descriptor = file.metadata()[METADATA_KEY]
    save_file(load_file(path), path, metadata={METADATA_KEY: descriptor})


def test_a_flipped_bit_anywhere_is_detected(model: Path) -> None:
    content = model.read_bytes()
    padding = content.index(b"\0", LENGTH) if b"\0" in content[LENGTH:] else len(content)
    random = Random(1)
    for place in [
        *range(LENGTH),
        *random.sample(range(LENGTH, padding - LENGTH), 60),
        *random.sample(range(padding, len(content)), 60),
    ]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << random.randrange(8)
        model.write_bytes(damaged)
        refused(model)


def test_a_flipped_bit_in_the_name_of_the_checksum_is_detected(model: Path) -> None:
    content = model.read_bytes()
    start = content.index(b"nitido_checksum")
    for place in range(start, start + len("nitido_checksum")):
        damaged = bytearray(content)
        damaged[place] ^= 2
        model.write_bytes(damaged)
        refused(model)


def test_a_replaced_descriptor_is_detected(model: Path) -> None:
    header, data = header_of(model)
    header["__metadata__"][METADATA_KEY] = header["__metadata__"][METADATA_KEY].replace('"tiny"', '"tidy"')
    write(model, header, data)
    refused(model, "does not match its checksum")


def test_swapped_weights_of_two_layers_are_detected(model: Path) -> None:
    header, data = header_of(model)
    names = [name for name in header if name.endswith("weight") and header[name]["shape"] == [4, 4, 3, 3]]
    first, second = names[:2]
    header[first], header[second] = header[second], header[first]
    write(model, header, data)
    refused(model, "does not match its checksum")


@pytest.mark.parametrize("name", zoo_names())
def test_zeroed_weights_of_the_zoo(tmp_path: Path, name: str) -> None:
    path = tmp_path / "copy.safetensors"
    shutil.copy(zoo_path(name), path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    weights = load_file(path)
    last = [key for key in weights if key.endswith("weight")][-1]
    save_file({**weights, last: torch.zeros_like(weights[last])}, path, metadata=metadata)
    refused(path, "does not match its checksum")
    header, data = header_of(zoo_path(name))
    write(path, header, data[: len(data) // 2] + bytes(len(data) - len(data) // 2))  # what a full disk leaves
    refused(path, "does not match its checksum")


def test_a_file_of_an_earlier_version_loads_but_not_with_zeroed_weights(model: Path) -> None:
    expected = load_model_file(model)
    without_checksum(model)
    found = load_model_file(model)
    assert found.descriptor == expected.descriptor
    weights = load_file(model)
    layer = next(name for name in weights if name.endswith("weight"))
    descriptor = expected.descriptor.model_dump_json()
    save_file({**weights, layer: torch.zeros_like(weights[layer])}, model, metadata={METADATA_KEY: descriptor})
    load_refused(model, "are zero: the file is damaged")


def damaged_header(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        header, data = header_of(path)
        del header["__metadata__"]["nitido_checksum"]
        change(header)
        write(path, header, data)

    return apply


def first_entry(header: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = next(value for key, value in header.items() if key != "__metadata__")
    return entry


def doubled(path: Path) -> None:
    """One key twice: readers differ in which of the two they take."""
    header, data = header_of(path)
    text = json.dumps(header)
    write(path, (text[:-1] + ', "again": 0, "again": 1}').encode(), data)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "huge header": lambda path: path.write_bytes((1 << 62).to_bytes(LENGTH, "little") + path.read_bytes()[LENGTH:]),
    "deep header": lambda path: write(path, b"[" * 200_000, b""),
    "long number": lambda path: write(path, b'{"a": ' + b"9" * 10_000 + b"}", b""),
    "list": lambda path: write(path, b"[]", b""),
    "not UTF-8": lambda path: write(path, b'{"\xff": 1}', b""),
    "a key twice": doubled,
    "overlap": damaged_header(lambda header: first_entry(header).update(data_offsets=[4, 16])),
    "backwards": damaged_header(lambda header: first_entry(header).update(data_offsets=[16, 0])),
    "beyond the end": damaged_header(lambda header: first_entry(header).update(data_offsets=[0, 1 << 40])),
    "negative side": damaged_header(lambda header: first_entry(header).update(shape=[-1, -4])),
    "side that is text": damaged_header(lambda header: first_entry(header).update(shape=["4"])),
    "huge side": damaged_header(lambda header: first_entry(header).update(shape=[1 << 62, 1 << 62])),
    "no type": damaged_header(lambda header: first_entry(header).pop("dtype")),
    "unknown type": damaged_header(lambda header: first_entry(header).update(dtype="F4")),
    "metadata that are numbers": damaged_header(lambda header: header.update(__metadata__={"nitido": 1})),
    "more data": lambda path: path.write_bytes(path.read_bytes() + b"\0\0\0\0"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_impossible_headers(model: Path, damage: str) -> None:
    DAMAGES[damage](model)
    refused(model, "not a readable safetensors file, damaged or truncated")


def described(path: Path, **changes: object) -> None:
    """The model file at `path`, of an earlier version, with another descriptor."""
    header, data = header_of(path)
    values = json.loads(header["__metadata__"].pop(METADATA_KEY))
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    header["__metadata__"] = {METADATA_KEY: json.dumps(values)}
    write(path, header, data)


HUGE: dict[str, dict[str, object]] = {
    "blocks": {"blocks": 900},
    "more blocks": {"blocks": 10**9},
    "more blocks than numbers": {"blocks": 10**30},
    "width": {"width": 60_000},
    "more width": {"width": 10**12},
    "both": {"blocks": 1000, "width": 4096},
    "blocks of another recipe": {"blocks": 1000, "block": "dense"},
}


@pytest.mark.parametrize("size", HUGE)
def test_a_network_that_is_larger_than_its_file_is_not_built(model: Path, size: str) -> None:
    described(model, config=HUGE[size])
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    load_refused(model, "its descriptor needs more weights than|config of edsr")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("vdsr", {"depth": 10**9}),
        ("rdn", {"blocks": 1000, "layers": 1000}),
        ("rdn", {"growth": 10**9}),
        ("srcnn", {"kernel_sizes": [10**9 + 1, 3, 5]}),
        ("srresnet", {"blocks": 10**8}),
    ],
)
def test_the_same_of_other_architectures(model: Path, architecture: str, config: dict[str, object]) -> None:
    header, data = header_of(model)
    values = json.loads(header["__metadata__"][METADATA_KEY])
    header["__metadata__"] = {METADATA_KEY: json.dumps({**values, "architecture": architecture, "config": config})}
    write(model, header, data)
    start = time.monotonic()
    load_refused(model, "its descriptor needs more weights than|config of")
    assert time.monotonic() - start < 10


DESCRIPTORS = {
    "a long number": '{"scale": ' + "9" * 5000 + "}",
    "depth": '{"a":' * 100_000,
    "a key twice": '{"name": "a", "name": "b"}',
    "no number": '{"scale": NaN}',
    "half a character": '{"name": "\\ud800"}',
}


@pytest.mark.parametrize("text", DESCRIPTORS)
def test_descriptors_that_are_no_json(model: Path, text: str) -> None:
    save_file(load_file(model), model, metadata={METADATA_KEY: DESCRIPTORS[text]})
    refused(model, "its descriptor is not JSON")


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "bell\x07", "turned\u202eround"])
def test_names_that_would_write_to_the_terminal(model: Path, name: str) -> None:
    described(model, name=name)
    refused(model, "descriptor: name")


def test_a_sparse_file_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    header = {"a": {"dtype": "F32", "shape": [1 << 33], "data_offsets": [0, 1 << 35]}}
    write(path, header, b"")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + (1 << 35))
    refused(path, "exceed the limit for weights")


@pytest.mark.parametrize("fault", ["missing", "empty", "half"])
def test_a_finished_run_with_a_damaged_model_gives_one_line(
    model: Path, fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = model.parent / "run"
    run.mkdir()
    if fault != "missing":
        content = model.read_bytes()
        (run / "model.safetensors").write_bytes(content[: len(content) // 2 if fault == "half" else 0])
    monkeypatch.setattr(sys, "argv", ["nitido", "model", "show", str(run)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("nitido: ")
    assert said.count("\n") == 1
    assert str(run) in said
