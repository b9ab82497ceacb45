"""SRGAN's generator built in Keras 3 itself (Ledig et al., CVPR 2017, as the usual Keras implementations write it)."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from nitido.models import load_model_file, save_model
from nitido.models.importers import import_model

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    """Keras on torch; imported here alone, as it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "KERAS_BACKEND", "torch")
        import keras
    assert keras.backend.backend() == "torch"
    return keras


def build(keras: Any, scale: int, width: int, blocks: int) -> Any:
    """Bytes in, bytes (not rounded) out, with random weights, slopes and statistics."""
    layers = keras.layers

    def convolution(features: Any, channels: int, size: int, activation: str | None = None) -> Any:
        return layers.Conv2D(channels, size, padding="same", activation=activation)(features)

    def prelu(features: Any) -> Any:
        return layers.PReLU(shared_axes=[1, 2])(features)

    def depth_to_space(features: Any) -> Any:
        """TensorFlow's: channels are counted (row, column, feature)."""
        _, height, breadth, channels = features.shape
        cells = keras.ops.reshape(features, (-1, height, breadth, 2, 2, channels // 4))
        return keras.ops.reshape(
            keras.ops.transpose(cells, (0, 1, 3, 2, 4, 5)), (-1, 2 * height, 2 * breadth, channels // 4)
        )

    image = keras.Input((6, 7, 3))
    features = shallow = prelu(convolution(layers.Rescaling(1 / 255)(image), width, 9))
    for _ in range(blocks):
        branch = prelu(layers.BatchNormalization(momentum=0.8)(convolution(features, width, 3)))
        branch = layers.BatchNormalization(momentum=0.8)(convolution(branch, width, 3))
        features = layers.Add()([features, branch])
    features = layers.Add()([shallow, layers.BatchNormalization()(convolution(features, width, 3))])
    for _ in range({2: 1, 4: 2}[scale]):
        grown = convolution(features, 4 * width, 3)
        shape = (2 * grown.shape[1], 2 * grown.shape[2], width)
        features = prelu(layers.Lambda(depth_to_space, output_shape=shape)(grown))
    output = layers.Rescaling(127.5, offset=127.5)(convolution(features, 3, 9, "tanh"))
    model = keras.Model(image, output)

    rng = np.random.default_rng(7)
    for weight in model.weights:
        kind, shape = weight.path.rpartition("/")[2], weight.shape
        if kind == "kernel":
            values = rng.normal(0, (0.3 / np.prod(shape[:3])) ** 0.5, shape)
        elif kind in ("gamma", "moving_variance"):
            values = rng.uniform(0.3, 1.5, shape)
            values[:2] = 0.05 if kind == "moving_variance" else values[:2]  # where epsilon counts
        elif kind == "alpha":
            values = rng.uniform(-0.3, 0.6, shape)
        else:
            values = rng.normal(0, 0.2, shape)
        weight.assign(values.astype(np.float32))
    return model


def write(keras: Any, path: Path, model: Any) -> None:
    """Keras' own writer of the legacy layout, which `save_weights("x.h5")` was until Keras 3."""
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


@pytest.mark.parametrize(("scale", "width", "blocks"), [(4, 64, 16), (2, 64, 3), (4, 8, 2), (2, 8, 2)])
def test_the_same_image(keras: ModuleType, tmp_path: Path, scale: int, width: int, blocks: int) -> None:
    model = build(keras, scale, width, blocks)
    write(keras, tmp_path / "generator.h5", model)
    save_model(tmp_path / "m.safetensors", *import_model(tmp_path / "generator.h5"))
    network, descriptor = load_model_file(tmp_path / "m.safetensors")

    image = np.random.default_rng(8).integers(0, 256, (2, 6, 7, 3), np.uint8)
    with torch.no_grad():
        expected = model(image.astype(np.float32), training=False).cpu().permute(0, 3, 1, 2) / 255
        ours = network(torch.from_numpy(image).permute(0, 3, 1, 2) / 255)
    assert expected.std() > 0.05, "an image so flat that wrong weights could pass"
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert (descriptor.architecture, descriptor.scale) == ("srresnet", scale)
    assert (descriptor.config["width"], descriptor.config["blocks"]) == (width, blocks)
    if (scale, width, blocks) == (4, 64, 16):
        assert descriptor.parameters == 1_550_659


def test_a_whole_legacy_model(keras: ModuleType, tmp_path: Path) -> None:
    """`model.save("x.h5")` keeps the same weights one group deeper."""
    model = build(keras, 2, 8, 1)
    write(keras, tmp_path / "weights.h5", model)
    model.save(tmp_path / "model.h5")
    weights, whole = (import_model(tmp_path / name).network.state_dict() for name in ("weights.h5", "model.h5"))
    assert all(torch.equal(weights[name], whole[name]) for name in weights)


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_files_of_keras_3(keras: ModuleType, tmp_path: Path, name: str) -> None:
    """Twelve blocks: `conv2d_10` sorts ahead of `conv2d_2`. A second model: its layers' own names begin later."""
    build(keras, 2, 8, 1)
    model = build(keras, 2, 8, 12)
    write(keras, tmp_path / "legacy.h5", model)
    (model.save if name.endswith(".keras") else model.save_weights)(tmp_path / name)
    legacy, new = (import_model(tmp_path / file).network.state_dict() for file in ("legacy.h5", name))
    assert all(torch.equal(legacy[key], new[key]) for key in legacy)


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
@pytest.mark.parametrize("channels", [1, 3])
def test_srcnn_of_every_format(keras: ModuleType, tmp_path: Path, name: str, channels: int) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((20, 22, channels)),
            layers.Conv2D(8, 9, activation="relu", name="extraction"),
            layers.Conv2D(4, 3, activation="relu", name="a_mapping"),
            layers.Conv2D(channels, 5, name="last"),
        ]
    )
    save = model.save_weights if name.endswith(".weights.h5") else model.save
    save(tmp_path / name)
    network, descriptor = import_model(tmp_path / name)
    assert (descriptor.architecture, descriptor.scales, descriptor.channels) == ("srcnn", (2, 3, 4), channels)
    image = torch.rand(1, channels, 10, 11, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        large = network.upscale(image)  # type: ignore[operator]
        expected = model(large.permute(0, 2, 3, 1).numpy()).cpu().permute(0, 3, 1, 2)
        found = network(image)[..., 7:-7, 7:-7]
    assert expected.shape == found.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
