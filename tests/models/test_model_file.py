import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import nitido
from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.models import ModelDescriptor, ModelFileError, load_model_file, read_descriptor, save_model
from nitido.models.find import find_model
from nitido.models.model_file import METADATA_KEY


def debug_network(**overrides: object) -> SuperResolutionNetwork:
    torch.manual_seed(3)
    return build("srcnn", resolve_config("srcnn", "debug", overrides))


def describe(network: SuperResolutionNetwork) -> ModelDescriptor:
    return ModelDescriptor.of(
        network,
        "SRCNN",
        "tiny",
        training={"variant": "debug", "seed": 3, "steps": 10, "hyperparameters": {"lr": 0.001}},
        metrics={"set5": {"psnr_y": 33.25, "ssim_y": 0.9}},
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = debug_network()
    path = tmp_path / "any name.safetensors"
    save_model(path, network, describe(network))
    return path


def rewrite(path: Path, tensors: dict[str, torch.Tensor] | None = None, descriptor: str | None = None) -> None:
    """Write the file again with other tensors or another descriptor text."""
    text = read_descriptor(path).model_dump_json() if descriptor is None else descriptor
    save_file(load_file(path) if tensors is None else tensors, path, metadata={METADATA_KEY: text})


def altered(path: Path, **changes: object) -> str:
    return json.dumps({**read_descriptor(path).model_dump(mode="json"), **changes})


def test_round_trip(model: Path) -> None:
    network = debug_network()
    loaded = load_model_file(model)
    assert loaded.descriptor == describe(network) == read_descriptor(model)
    assert loaded.network.config == network.config
    assert not loaded.network.training
    lr = torch.rand(1, 3, 7, 9)
    with torch.no_grad():
        assert torch.equal(loaded.network(lr), network(lr))


def test_the_descriptor_says_what_the_network_is(model: Path) -> None:
    descriptor = read_descriptor(model)
    assert (descriptor.architecture, descriptor.name, descriptor.scale, descriptor.channels) == ("srcnn", "tiny", 2, 3)
    assert descriptor.parameters == 3 * 9 * 4 + 4 + 4 * 4 + 4 + 4 * 9 * 3 + 3
    assert descriptor.config["kernel_sizes"] == [3, 1, 3]
    assert descriptor.metrics["set5"]["psnr_y"] == 33.25


def test_channels_last_and_training_mode_change_nothing(tmp_path: Path) -> None:
    network = debug_network().to(memory_format=torch.channels_last).train()
    save_model(tmp_path / "m.safetensors", network, describe(network))
    loaded = load_model_file(tmp_path / "m.safetensors").network
    for (name, ours), theirs in zip(network.named_parameters(), loaded.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    assert network.training


def test_loading_leaves_the_random_numbers_alone(model: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    load_model_file(model)
    assert torch.equal(torch.rand(4), expected)


def test_a_configuration_written_before_a_field_existed_still_loads(model: Path) -> None:
    config = read_descriptor(model).config
    del config["activation"]
    rewrite(model, descriptor=altered(model, config=config))
    assert load_model_file(model).network.config == debug_network().config


def refused(path: Path, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        load_model_file(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", "no such model file")
    with pytest.raises(ModelFileError, match="no such model file"):
        read_descriptor(tmp_path / "none.safetensors")


def test_directory(tmp_path: Path) -> None:
    refused(tmp_path, "a folder, not a model file")


def test_foreign_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    refused(path, "without nitido's descriptor")
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})
    refused(path, "without nitido's descriptor")


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file(model: Path, kept: float) -> None:
    content = model.read_bytes()
    model.write_bytes(content[: int(kept * len(content))])
    refused(model, "damaged or truncated")


def test_garbage(tmp_path: Path) -> None:
    path = tmp_path / "image.safetensors"
    path.write_bytes(b"\x89PNG\r\n" + bytes(range(256)) * 8)
    refused(path, "damaged or truncated")


def test_missing_tensor(model: Path) -> None:
    tensors = load_file(model)
    del tensors["mapping.bias"]
    rewrite(model, tensors)
    refused(model, "weights that its descriptor requires are missing: mapping.bias")


def test_extra_tensor(model: Path) -> None:
    rewrite(model, {**load_file(model), "stowaway": torch.zeros(1)})
    refused(model, "does not have: stowaway")


def test_wrong_shape(model: Path) -> None:
    rewrite(model, {**load_file(model), "mapping.bias": torch.zeros(5)})
    refused(model, r"mapping\.bias is \(5,\) float32, but its descriptor needs \(4,\) float32")


def test_wrong_type(model: Path) -> None:
    rewrite(model, {**load_file(model), "mapping.bias": torch.zeros(4, dtype=torch.float16)})
    refused(model, r"mapping\.bias is \(4,\) float16, but")


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(model: Path, poison: float) -> None:
    tensors = load_file(model)
    tensors["extraction.weight"][0, 0, 0, 0] = poison
    rewrite(model, tensors)
    refused(model, r"extraction\.weight contains NaN or infinite")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "srcn"}, "unknown architecture 'srcn': did you mean 'srcnn'"),
        ({"config": {"scales": 2}}, "config of srcnn: unknown key 'scales': did you mean 'scale'"),
        ({"config": {"scale": 9}}, "config of srcnn: scale"),
        ({"scale": 3}, "the descriptor states scale = 3, but its network has 2"),
        ({"receptive_field_radius": 1}, "receptive_field_radius = 1"),
        ({"parameters": 1}, "parameters = 1"),
        ({"format_version": 2}, "descriptor: format_version"),
        ({"colour": "red"}, "descriptor: unknown key 'colour'"),
    ],
)
def test_descriptor_that_does_not_fit(model: Path, changes: dict[str, object], message: str) -> None:
    rewrite(model, descriptor=altered(model, **changes))
    refused(model, message)


def mixed_scale_model(path: Path) -> SuperResolutionNetwork:
    network = debug_network()
    save_model(path, network, ModelDescriptor.of(network, "srcnn", "mixed", other_scales=(4, 3)))
    return network


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_one_file_for_several_scales(tmp_path: Path, scale: int) -> None:
    network = mixed_scale_model(tmp_path / "m.safetensors")
    assert read_descriptor(tmp_path / "m.safetensors").scales == (2, 4, 3)
    loaded = nitido.load_model(tmp_path / "m.safetensors", scale=scale)
    built = debug_network(scale=scale).eval()
    built.load_state_dict(network.state_dict())
    assert (loaded.scale, loaded.config, loaded.training) == (scale, built.config, False)
    assert loaded.receptive_field_radius == built.receptive_field_radius
    lr = torch.rand(1, 3, 7, 9)
    with torch.no_grad():
        assert torch.equal(loaded(lr), built(lr))


def test_the_first_scale_is_the_default_of_a_file(tmp_path: Path, model: Path) -> None:
    mixed_scale_model(tmp_path / "m.safetensors")
    assert nitido.load_model(tmp_path / "m.safetensors").scale == 2
    with pytest.raises(ModelFileError, match="this model upscales by ×2 or ×4 or ×3, not by ×5"):
        find_model(tmp_path / "m.safetensors", 5)
    with pytest.raises(ModelFileError, match="this model upscales by ×2, not by ×3"):
        nitido.load_model(model, scale=3)


def test_a_file_written_before_there_were_several_scales_still_loads(model: Path) -> None:
    values = json.loads(altered(model))
    assert values.pop("scales") == [2]
    rewrite(model, descriptor=json.dumps(values))
    assert load_model_file(model).descriptor == describe(debug_network())


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ([3, 2], r"the descriptor states scales = \[3, 2\], but they must be unique and start with 2"),
        ([2, 2], "but they must be unique"),
        ([2, 9], "SRCNN at scale 9: scale: input should be less than or equal to 4"),
        (["two"], "descriptor: scales.0"),
    ],
)
def test_scales_that_cannot_be(model: Path, scales: list[object], message: str) -> None:
    rewrite(model, descriptor=altered(model, scales=scales))
    refused(model, message)


def test_scales_that_the_weights_do_not_serve(tmp_path: Path) -> None:
    network = debug_network(upsampler="nearest")
    with pytest.raises(ModelFileError, match=r"states scales = \[2, 3\]: .* its weights are for scale 2"):
        save_model(tmp_path / "m", network, ModelDescriptor.of(network, "srcnn", "tiny", other_scales=(3,)))
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("text", ["{", "[]", "null", '"words"'])
def test_descriptor_that_is_no_descriptor(model: Path, text: str) -> None:
    rewrite(model, descriptor=text)
    refused(model, "descriptor")


def test_refusing_to_save_leaves_the_old_file(model: Path) -> None:
    before = model.read_bytes()
    network = debug_network()
    descriptor = describe(network)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(ModelFileError, match="contains NaN"):
        save_model(model, network, descriptor)
    with pytest.raises(ModelFileError, match="the descriptor states config"):
        save_model(model, debug_network(scale=3), descriptor)
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    network = debug_network()
    with pytest.raises(ModelFileError, match="could not be written"):
        save_model(tmp_path / "file" / "m.safetensors", network, describe(network))
