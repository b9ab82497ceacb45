"""Keras' legacy HDF5 files, written by hand after its layout; parity with Keras is in tests/reference."""

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from nitido.cli import main
from nitido.models import ModelFileError
from nitido.models.importers import import_model

WIDTH = 4
Layers = dict[str, dict[str, np.ndarray]]


@pytest.fixture
def layers() -> Layers:
    """A generator of one block and one upsampling stage, with layers numbered as in Keras."""
    rng = np.random.default_rng(6)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    def convolution(size: int, inputs: int, outputs: int) -> dict[str, np.ndarray]:
        return {"kernel:0": draw(size, size, inputs, outputs), "bias:0": draw(outputs)}

    def norm() -> dict[str, np.ndarray]:
        return {f"{kind}:0": draw(WIDTH) ** 2 for kind in ("gamma", "beta", "moving_mean", "moving_variance")}

    def slope() -> dict[str, np.ndarray]:
        return {"alpha:0": draw(1, 1, WIDTH)}

    return {
        "input_1": {},
        "conv2d": convolution(9, 3, WIDTH),
        "p_re_lu": slope(),
        "conv2d_1": convolution(3, WIDTH, WIDTH),
        "batch_normalization": norm(),
        "p_re_lu_1": slope(),
        "conv2d_2": convolution(3, WIDTH, WIDTH),
        "batch_normalization_1": norm(),
        "add": {},
        "conv2d_3": convolution(3, WIDTH, WIDTH),
        "batch_normalization_2": norm(),
        "conv2d_4": convolution(3, WIDTH, 4 * WIDTH),
        "lambda_1": {},
        "p_re_lu_2": slope(),
        "conv2d_5": convolution(9, WIDTH, 3),
    }


def write(path: Path, layers: Layers, root: str = "/", split_names: bool = False) -> Path:
    with h5py.File(path, "w") as file:
        group = file.require_group(root)
        names = np.array([layer.encode() for layer in layers])
        if split_names:  # what Keras does with lists that are too long for an attribute
            group.attrs["layer_names0"], group.attrs["layer_names1"] = np.array_split(names, 2)
        else:
            group.attrs["layer_names"] = names
        for layer, arrays in layers.items():
            part = group.create_group(layer)
            part.attrs["weight_names"] = np.array([f"{layer}/{kind}".encode() for kind in arrays], dtype="S")
            for kind, array in arrays.items():
                part[f"{layer}/{kind}"] = array
    return path


def test_layers_are_matched_by_name(tmp_path: Path, layers: Layers) -> None:
    network, descriptor = import_model(write(tmp_path / "a name that says nothing.pth", layers))
    convolutions = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    slopes = [layer for layer in network.modules() if isinstance(layer, torch.nn.PReLU)]
    kernel = layers["conv2d_2"]["kernel:0"]
    assert convolutions[2].weight[1, 2, 0, 2].item() == kernel[0, 2, 2, 1]
    norm = layers["batch_normalization_1"]
    for ours, theirs in (
        (norms[1].weight, "gamma"),
        (norms[1].bias, "beta"),
        (norms[1].running_mean, "moving_mean"),
        (norms[1].running_var, "moving_variance"),
    ):
        assert ours is not None
        np.testing.assert_array_equal(ours.detach(), norm[f"{theirs}:0"])
    assert {layer.eps for layer in norms} == {1e-3}
    np.testing.assert_array_equal(slopes[2].weight.detach(), layers["p_re_lu_2"]["alpha:0"].ravel())
    # Feature 1 at the lower left of its 2×2 pixels: Keras' channel 2·WIDTH + 1, a pixel shuffle's 4·1 + 2.
    np.testing.assert_array_equal(
        convolutions[4].weight[6].detach().permute(1, 2, 0), layers["conv2d_4"]["kernel:0"][..., 2 * WIDTH + 1]
    )
    assert convolutions[4].bias is not None
    assert convolutions[4].bias[6].item() == layers["conv2d_4"]["bias:0"][2 * WIDTH + 1]
    assert (descriptor.architecture, descriptor.scale, descriptor.config["output"]) == ("srresnet", 2, "tanh")


@pytest.mark.parametrize(("root", "split"), [("model_weights", False), ("/", True)])
def test_the_same_weights_in_other_containers(tmp_path: Path, layers: Layers, root: str, split: bool) -> None:
    plain = import_model(write(tmp_path / "a.h5", layers)).network.state_dict()
    other = import_model(write(tmp_path / "b.h5", layers, root, split)).network.state_dict()
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def refused(path: Path, message: str, scale: int | None = None) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        import_model(path, scale)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_scale_that_contradicts_the_weights(tmp_path: Path, layers: Layers) -> None:
    refused(write(tmp_path / "a.h5", layers), "its weights are for scale 2, but --scale is 4", scale=4)


def test_a_generator_without_its_last_layers(tmp_path: Path, layers: Layers) -> None:
    del layers["conv2d_5"]
    refused(write(tmp_path / "a.h5", layers), r"layer 12 is the end \(nothing\), but in .*: convolution")


def test_another_order_of_layers(tmp_path: Path, layers: Layers) -> None:
    layers["batch_normalization_1"] = layers.pop("batch_normalization_1")
    refused(write(tmp_path / "a.h5", layers), r"layer 7 is conv2d_3 \(convolution\), but .*: batch normalization")


def test_a_convolution_too_many(tmp_path: Path, layers: Layers) -> None:
    layers["conv2d_6"] = layers["conv2d_5"]
    refused(write(tmp_path / "a.h5", layers), r"layer 13 is conv2d_6 \(convolution\), but .* it is: nothing")


def test_a_wrong_shape(tmp_path: Path, layers: Layers) -> None:
    layers["conv2d_1"]["kernel:0"] = np.zeros((5, 5, WIDTH, WIDTH), np.float32)
    refused(write(tmp_path / "a.h5", layers), r"conv2d_1\.weight is \(4, 4, 5, 5\)")


def test_slopes_of_every_pixel(tmp_path: Path, layers: Layers) -> None:
    layers["p_re_lu"]["alpha:0"] = np.zeros((8, 8, WIDTH), np.float32)
    refused(write(tmp_path / "a.h5", layers), r"p_re_lu\.weight is \(256,\)")


def test_text_for_numbers(tmp_path: Path, layers: Layers) -> None:
    layers["conv2d_1"]["bias:0"] = np.array([b"a"] * WIDTH)
    refused(write(tmp_path / "a.h5", layers), r"'conv2d_1/bias' contains \|S1 instead of numeric")


def test_a_network_without_normalization(tmp_path: Path, layers: Layers) -> None:
    plain = {layer: arrays for layer, arrays in layers.items() if "batch" not in layer}
    refused(write(tmp_path / "a.h5", plain), r"its arrays \(conv2d/kernel, conv2d/bias, .*have no known layout")


def test_a_nested_model(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"inner"]
        inner = file.create_group("inner")
        inner.attrs["weight_names"] = [b"conv2d/kernel:0", b"conv2d_1/kernel:0"]
        inner["conv2d/kernel:0"] = inner["conv2d_1/kernel:0"] = np.zeros(2, np.float32)
    refused(tmp_path / "a.h5", "'inner/kernel' twice; nested models")


def test_other_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["conv2d/vars/0"] = np.zeros(2)
    refused(tmp_path / "a.h5", "an HDF5 file without 'layer_names' and without 'layers': not Keras weights")


def test_keras_3_with_a_model_inside(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file["layers/functional/layers/conv2d/vars/0"] = np.zeros((3, 3, 1, 1))
    refused(tmp_path / "a.weights.h5", "'functional' is a nested model")


def one_layer(file: h5py.File, kernel: object) -> None:
    file.attrs["layer_names"] = [b"c"]
    file.create_group("c").attrs["weight_names"] = [b"kernel:0"]
    file["c"]["kernel:0"] = kernel


def sparse(path: Path) -> None:
    """8 GiB that are not there."""
    with h5py.File(path, "w") as file:
        one_layer(file, np.zeros(1))
        del file["c/kernel:0"]
        file["c"].create_dataset("kernel:0", (1 << 31,), "f4", chunks=(1 << 20,))


def compressed(path: Path) -> None:
    with h5py.File(path, "w") as file:
        one_layer(file, np.zeros(1))
        del file["c/kernel:0"]
        stored = file["c"].create_dataset("kernel:0", (300 << 20,), "f4", chunks=(1 << 24,), compression="gzip")
        stored[:] = np.zeros(300 << 20, np.float32)


def soft_link(path: Path) -> None:
    with h5py.File(path, "w") as file:
        one_layer(file, h5py.SoftLink("/c/kernel:0"))


def external_link(path: Path) -> None:
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["kernel"] = np.zeros((3, 3, 1, 1))
    with h5py.File(path, "w") as file:
        one_layer(file, h5py.ExternalLink("other.h5", "kernel"))


def external_data(path: Path) -> None:
    path.with_name("secret").write_bytes(bytes(64))
    with h5py.File(path, "w") as file:
        one_layer(file, np.zeros(1))
        del file["c/kernel:0"]
        file["c"].create_dataset("kernel:0", (16,), "f4", external=[(str(path.with_name("secret")), 0, 64)])


def virtual(path: Path) -> None:
    layout = h5py.VirtualLayout((16,), "f4")
    layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), "kernel", (16,))
    with h5py.File(path, "w") as file:
        one_layer(file, np.zeros(1))
        del file["c/kernel:0"]
        file["c"].create_virtual_dataset("kernel:0", layout)


def texts(path: Path) -> None:
    with h5py.File(path, "w") as file:
        one_layer(file, np.array(["a", "b"], dtype=object))


def names_of_a_megabyte(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["layer_names"] = np.full(1 << 18, b"abcdefgh")


ELSEWHERE = {
    sparse: "'c/kernel' is larger than its stored data permit",
    compressed: "its arrays exceed the limit for weights",
    soft_link: "'kernel:0' is a link: refused",
    external_link: "'kernel:0' is a link: refused",
    external_data: "'c/kernel' is stored in another file",
    virtual: "'c/kernel' is stored in another file",
    texts: "'c/kernel' contains object instead of numeric",
    names_of_a_megabyte: "damaged or truncated",
}


@pytest.mark.parametrize("make", ELSEWHERE)
def test_arrays_that_are_not_in_the_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.h5")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    refused(tmp_path / "a.h5", ELSEWHERE[make])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert time.monotonic() - start < 10


def test_patterns_without_match(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv2d"]
    refused(tmp_path / "a.h5", "not a readable HDF5 file, damaged or truncated")


@pytest.mark.parametrize("kept", [8, 100, -100])
def test_a_truncated_file(tmp_path: Path, layers: Layers, kept: int) -> None:
    path = write(tmp_path / "a.h5", layers)
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, "not a readable HDF5 file, damaged or truncated")


def test_without_h5py_the_command_says_what_to_install(
    tmp_path: Path, layers: Layers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.h5", layers)
    monkeypatch.setitem(sys.modules, "h5py", None)  # how Python marks what cannot be imported
    refused(path, r"reading HDF5 files needs h5py: pip install nitido\[import\]")
    monkeypatch.setattr(sys, "argv", ["nitido", "model", "import", str(path), "-o", str(tmp_path / "m.safetensors")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "nitido[import]" in capsys.readouterr().err


def test_a_file_that_hangs_the_library(tmp_path: Path, layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nitido.models.importers.hdf5_trial.SECONDS", 0.01)
    refused(write(tmp_path / "a.h5", layers), "reading it crashes or hangs")
