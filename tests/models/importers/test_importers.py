"""Tests complete and damaged files in the VDSR authors' layout."""

import hashlib
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from nitido.base.errors import NitidoError
from nitido.imaging import bicubic_upscale
from nitido.models import ModelFileError, load_model_file, save_model
from nitido.models.importers import import_model

DEPTH = 20
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """Weights of the published shapes that keep the features' size: nothing is hidden by zeros or overflows."""
    rng = np.random.default_rng(0)
    widths = [1] + [64] * (DEPTH - 1) + [1]
    made: Arrays = {}
    for n in range(1, DEPTH + 1):
        shape = (widths[n], widths[n - 1], 3, 3)
        deviation = np.sqrt(2 / (9 * shape[1]))
        made[f"conv{n}.weight"] = (deviation * rng.standard_normal(shape)).astype(np.float32)
        made[f"conv{n}.bias"] = (0.01 * rng.standard_normal(shape[0])).astype(np.float32)
    return made


def write(path: Path, arrays: Arrays) -> Path:
    with path.open("wb") as file:  # np.savez would add ".npz" to the name
        np.savez(file, **arrays)
    return path


def reference(arrays: Arrays, image: torch.Tensor) -> torch.Tensor:
    """The published network written down once more, in float64."""
    features = image = image.double()
    for n in range(1, DEPTH + 1):
        weight, bias = (torch.from_numpy(arrays[f"conv{n}.{kind}"]).double() for kind in ("weight", "bias"))
        features = F.conv2d(features, weight, bias, padding=1)
        if n < DEPTH:
            features = features.clamp(min=0)
    return image + features


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_imported_model_computes_what_its_weights_say(tmp_path: Path, arrays: Arrays, scale: int) -> None:
    source = write(tmp_path / "a name that says nothing.bin", arrays)
    imported = import_model(source, scale)
    save_model(tmp_path / "m.safetensors", *imported)
    network, descriptor = load_model_file(tmp_path / "m.safetensors")

    lr = torch.rand(1, 1, 6, 7, dtype=torch.float64)
    with torch.no_grad():
        expected = reference(arrays, bicubic_upscale(lr, scale))
        torch.testing.assert_close(network.double()(lr), expected, rtol=0, atol=1e-6 * expected.abs().max().item())
    assert (descriptor.architecture, descriptor.scale, descriptor.channels) == ("vdsr", scale, 1)
    assert descriptor.parameters == 665_921
    assert descriptor.name == "a name that says nothing"
    origin = descriptor.training["imported"]
    assert origin["file"] == source.name
    assert origin["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert "VDSR authors" in origin["layout"]


def test_a_custom_name(tmp_path: Path, arrays: Arrays) -> None:
    assert import_model(write(tmp_path / "a.npz", arrays), 2, "official").descriptor.name == "official"


@pytest.mark.parametrize(("file", "name"), [("w.npz", "Bicubic"), ("bicubic.npz", None)])
def test_the_name_of_the_baseline_is_reserved(tmp_path: Path, arrays: Arrays, file: str, name: str | None) -> None:
    refused(write(tmp_path / file, arrays), "'bicubic' is reserved for the baseline", name=name)


def test_memory_order_byte_order_and_compression_do_not_matter(tmp_path: Path, arrays: Arrays) -> None:
    plain = import_model(write(tmp_path / "a.npz", arrays), 2).network.state_dict()
    np.savez_compressed(tmp_path / "b.npz", **{k: np.asfortranarray(v).astype(">f4") for k, v in arrays.items()})
    other = import_model(tmp_path / "b.npz", 2).network.state_dict()
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_importing_leaves_the_random_numbers_alone(tmp_path: Path, arrays: Arrays) -> None:
    source = write(tmp_path / "a.npz", arrays)
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    import_model(source, 2)
    assert torch.equal(torch.rand(4), expected)


def refused(path: Path, message: str, scale: int | None = 2, name: str | None = None) -> None:
    with pytest.raises(NitidoError, match=message) as caught:
        import_model(path, scale, name)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ModelFileError)
    assert str(path) in str(caught.value)


def test_all_scales_are_kept_by_default(tmp_path: Path, arrays: Arrays) -> None:
    source = write(tmp_path / "a.npz", arrays)
    assert import_model(source, 3).descriptor.scales == (3,)
    imported = import_model(source)
    assert (imported.descriptor.scale, imported.descriptor.scales) == (2, (2, 3, 4))
    save_model(tmp_path / "m.safetensors", *imported)
    lr = torch.rand(1, 1, 6, 7)
    for scale in (2, 3, 4):
        network, descriptor = load_model_file(tmp_path / "m.safetensors", scale)
        assert (network.scale, descriptor.scales) == (scale, (2, 3, 4))
        with torch.no_grad():
            assert torch.equal(network(lr), import_model(source, scale).network(lr))
    with pytest.raises(ModelFileError, match="this model upscales by ×2 or ×3 or ×4, not by ×8"):
        load_model_file(tmp_path / "m.safetensors", 8)


def test_an_impossible_scale(tmp_path: Path, arrays: Arrays) -> None:
    with pytest.raises(NitidoError, match="scale: input should be less than or equal to 4, got 5"):
        import_model(write(tmp_path / "a.npz", arrays), 5)


def test_an_empty_name(tmp_path: Path, arrays: Arrays) -> None:
    refused(write(tmp_path / "a.npz", arrays), "must not be empty", name=" ")


def without(arrays: Arrays, *names: str) -> Arrays:
    return {name: array for name, array in arrays.items() if name not in names}


def replaced(arrays: Arrays, name: str, array: np.ndarray) -> Arrays:
    return {**arrays, name: array}


def poisoned(arrays: Arrays, value: float) -> Arrays:
    weight = arrays["conv9.weight"].copy()
    weight[5, 6, 1, 2] = value
    return replaced(arrays, "conv9.weight", weight)


DAMAGES = {
    "a missing layer": (lambda a: without(a, "conv7.weight", "conv7.bias"), "are missing: conv7.bias, conv7.weight"),
    "the first layer missing": (lambda a: without(a, "conv1.weight"), "requires are missing: conv1.weight"),
    "the last layer missing": (lambda a: without(a, "conv20.weight", "conv20.bias"), "are missing: .*conv20.weight"),
    "a layer too many": (lambda a: replaced(a, "conv21.bias", a["conv3.bias"]), "does not have: conv21.bias"),
    "a wrong shape": (
        lambda a: replaced(a, "conv3.weight", np.zeros((64, 64, 5, 5), np.float32)),
        r"conv3\.weight is \(64, 64, 5, 5\) float32, but the VDSR authors' layout needs \(64, 64, 3, 3\) float32",
    ),
    "HWIO order": (
        lambda a: {name: array.T if array.ndim == 4 else array for name, array in a.items()},
        r"conv1\.weight is \(3, 3, 1, 64\)",
    ),
    "a wrong type": (lambda a: replaced(a, "conv3.bias", np.zeros(64, int)), r"conv3\.bias is \(64,\) int64"),
    "NaN": (lambda a: poisoned(a, np.nan), r"conv9\.weight contains NaN or infinite"),
    "infinity": (lambda a: poisoned(a, np.inf), r"conv9\.weight contains NaN or infinite"),
    "pickled objects": (
        lambda a: replaced(a, "conv4.bias", np.array([print, {}], dtype=object)),
        "'conv4.bias' contains pickled Python objects",
    ),
    "text": (lambda a: replaced(a, "conv4.bias", np.array(["a"] * 64)), "'conv4.bias' contains <U1 instead of numeric"),
    "other names": (
        lambda a: {f"layer.{name}": array for name, array in a.items()},
        r"its arrays \(layer\.conv1\.weight, .*, …\) have no known layout \(known: VDSR authors",
    ),
    "one other name": (lambda a: replaced(a, "step", np.float32(3)), "no known layout"),
    "nothing": (lambda a: {}, r"its arrays \(nothing\) have no known layout"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_do_not_fit(tmp_path: Path, arrays: Arrays, damage: str) -> None:
    change, message = DAMAGES[damage]
    refused(write(tmp_path / "a.npz", change(arrays)), message)


@pytest.mark.parametrize("kept", [0.0001, 0.3, 0.999])
def test_a_truncated_file(tmp_path: Path, arrays: Arrays, kept: float) -> None:
    path = write(tmp_path / "a.npz", arrays)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    refused(path, "damaged or truncated")


def test_flipped_bits(tmp_path: Path, arrays: Arrays) -> None:
    path = write(tmp_path / "a.npz", arrays)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    refused(path, "damaged or truncated")


@pytest.mark.parametrize("precision", [np.float16, np.float64])
def test_other_precisions_become_float32(tmp_path: Path, arrays: Arrays, precision: type[np.floating]) -> None:
    others = {name: array.astype(precision) for name, array in arrays.items()}
    network = import_model(write(tmp_path / "a.npz", others)).network
    first = next(network.parameters())
    assert first.dtype == torch.float32
    np.testing.assert_array_equal(first.detach(), others["conv1.weight"].astype(np.float32))


def test_a_small_archive_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("conv1.weight.npy", "w", force_zip64=True) as member,
    ):
        header = {"descr": "<f4", "fortran_order": False, "shape": (1100 << 18,)}
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(1100):
            member.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(tmp_path / "a.npz", "its arrays exceed the limit for weights")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


def test_a_sparse_file_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK")
    with (tmp_path / "a.npz").open("r+b") as file:
        file.truncate(1 << 35)
    refused(tmp_path / "a.npz", "exceed the limit for weights")


def test_an_array_with_a_false_size(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("conv1.bias.npy", "w") as member:
        header = {"descr": "<f4", "fortran_order": False, "shape": (2**60,)}
        np.lib.format.write_array_header_1_0(member, header)
    refused(tmp_path / "a.npz", "damaged or truncated")


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("letter.txt", "Dear reader")
    refused(tmp_path / "a.npz", r"a zip archive with 'letter\.txt'")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"words"])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    refused(tmp_path / "a.npz", r"not a file of weights that can be imported \(\.npz, \.h5, .*; known: VDSR authors")


def test_no_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.npz", "no such weights file")
    refused(tmp_path, "a folder, but a file of weights is required")
