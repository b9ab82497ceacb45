"""State dicts in every wrapping people use, and files that would run code when read."""

import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nitido.cli import main
from nitido.models import ModelFileError, load_model_file, save_model
from nitido.models.importers import import_model

WIDTH = 4
Weights = dict[str, Tensor]


@pytest.fixture
def weights() -> Weights:
    """A tiny EDSR in BasicSR's layout."""
    torch.manual_seed(3)
    channels = {"conv_first": (3, WIDTH), "upsample.0": (WIDTH, 4 * WIDTH), "conv_last": (WIDTH, 3)}
    channels |= dict.fromkeys(["body.0.conv1", "body.0.conv2", "conv_after_body"], (WIDTH, WIDTH))
    made: Weights = OrderedDict()
    for name, (inputs, outputs) in channels.items():
        made[f"{name}.weight"], made[f"{name}.bias"] = torch.randn(outputs, inputs, 3, 3), torch.randn(outputs)
    return made


def assert_imported(path: Path, weights: Weights) -> None:
    """The network holds the weights as they are and the biases divided by 255, in the file's order of layers."""
    layers = [layer for layer in import_model(path).network.modules() if isinstance(layer, nn.Conv2d)]
    order = ["conv_first", "body.0.conv1", "body.0.conv2", "conv_after_body", "upsample.0", "conv_last"]
    for name, layer in zip(order, layers, strict=True):
        assert torch.equal(layer.weight, weights[f"{name}.weight"])
        torch.testing.assert_close(255 * layer.bias, weights[f"{name}.bias"])


def prefixed(prefix: str, weights: Weights) -> Weights:
    return {f"{prefix}{name}": value for name, value in weights.items()}


def other(weights: Weights) -> Weights:
    """Weights of another network, which must not be taken."""
    return {name: torch.full_like(value, 9) for name, value in weights.items()}


WRAPPINGS: dict[str, Callable[[Weights], object]] = {
    "nothing": lambda w: w,
    "params": lambda w: {"params": w},
    "averaged weights preferred": lambda w: {"params": {name: 0 * value for name, value in w.items()}, "params_ema": w},
    "a training checkpoint": lambda w: {"epoch": 3, "state_dict": w, "optimizer": {"state": {}, "lr": 0.1}},
    "twice": lambda w: {"model": {"state_dict": w}},
    "DataParallel": lambda w: {"params": {f"module.{name}": value for name, value in w.items()}},
    "DataParallel twice": lambda w: {f"module.module.{name}": value for name, value in w.items()},
    "traiNNer": lambda w: {"net_g": w, "optimizer": {"state": {}}},
    "GAN": lambda w: {"netD": other(w), "netG": w},
    "GAN of state dicts": lambda w: {"discriminator_state_dict": other(w), "generator_state_dict": w, "epoch": 1},
    "model_state_dict": lambda w: {"model_state_dict": w, "optimizer_state_dict": {"state": {}}, "loss": 0.5},
    "a name of their own": lambda w: {"my_best_sr_network": w, "step": 7},
    "Lightning": lambda w: {"state_dict": prefixed("model.", w), "hyper_parameters": {"lr": 0.1}},
    "Lightning GAN": lambda w: {"state_dict": prefixed("generator.", w) | prefixed("discriminator.", other(w))},
    "compiled": lambda w: prefixed("_orig_mod.", w),
    "compiled and parallel": lambda w: {"params_ema": prefixed("module._orig_mod.", w)},
    "parallel and compiled": lambda w: {"net": prefixed("_orig_mod.module.net_g.", w)},
    "compiled in the middle": lambda w: {name.replace("body.0.", "body.0._orig_mod."): v for name, v in w.items()},
    "FSDP": lambda w: {"model": prefixed("_fsdp_wrapped_module.", w)},
    "inside of two modules": lambda w: {"weights": prefixed("model.net_g.module.", w)},
    "parameters": lambda w: {name: nn.Parameter(value) for name, value in w.items()},
    "memory order": lambda w: {n: v.to(memory_format=torch.channels_last) if v.ndim == 4 else v for n, v in w.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("zipped", [True, False])
def test_every_wrapping(tmp_path: Path, weights: Weights, wrapping: str, zipped: bool) -> None:
    path = tmp_path / "a name that says nothing.npz"
    torch.save(WRAPPINGS[wrapping](weights), path, _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(path) == zipped
    assert_imported(path, weights)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_safetensors(tmp_path: Path, weights: Weights, prefix: str) -> None:
    save_file({prefix + name: value for name, value in weights.items()}, tmp_path / "a.pth")
    assert_imported(tmp_path / "a.pth", weights)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("save", [torch.save, save_file])
def test_other_precisions_become_float32(
    tmp_path: Path, weights: Weights, kind: torch.dtype, save: Callable[[Weights, Path], None]
) -> None:
    others = {name: value.to(kind) for name, value in weights.items()}
    save(others, tmp_path / "a.pth")
    assert_imported(tmp_path / "a.pth", {name: value.float() for name, value in others.items()})


def test_the_command(
    tmp_path: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"params": weights}, tmp_path / "a.pth")
    model = tmp_path / "m.safetensors"
    monkeypatch.setattr(sys, "argv", ["nitido", "model", "import", str(tmp_path / "a.pth"), "-o", str(model)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "edsr ×2" in capsys.readouterr().out
    assert load_model_file(model).descriptor.name == "a"


def refused(path: Path, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        import_model(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


class Bomb:
    """Unpickled by an unsuspecting reader, it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self.trace}'",)


def pickle_bomb(protocol: int) -> Callable[[object, Path], None]:
    return lambda content, path: path.write_bytes(pickle.dumps(content, protocol)) and None


BOMBS: dict[str, Callable[[object, Path], None]] = {
    "zip": torch.save,
    "legacy": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
    "zip, protocol 4": lambda content, path: torch.save(content, path, pickle_protocol=4),
    "bare pickle": pickle_bomb(2),
    "bare pickle, protocol 4": pickle_bomb(4),
    "bare pickle, protocol 5": pickle_bomb(5),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_code_is_refused_by_name_and_never_run(tmp_path: Path, weights: Weights, kind: str) -> None:
    path, trace = tmp_path / "a.pth", tmp_path / "trace"
    BOMBS[kind]({"params": Bomb(trace)} if "bare" in kind else {"params": weights, "step": Bomb(trace)}, path)
    refused(path, r"reading it would call '(posix|nt)\.system', which may run code: refused")
    assert not trace.exists()


def test_the_decompression_bomb_is_real(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "trace")))
    assert (tmp_path / "trace").exists()


def test_a_protocol_0_pickle_is_not_read(tmp_path: Path) -> None:
    pickle_bomb(0)(Bomb(tmp_path / "trace"), tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "not a file of weights that can be imported")
    assert not (tmp_path / "trace").exists()


def test_a_pickled_network(tmp_path: Path) -> None:
    torch.save({"model": nn.Sequential(nn.Conv2d(3, 3, 3))}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", r"would call 'torch\.nn\.modules\.container\.Sequential'.*only a state dict")


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_torchscript(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.ReLU(), torch.zeros(1)), tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "a TorchScript archive, which has code")


CONTENTS: dict[str, tuple[object, str]] = {
    "a list": ([torch.zeros(2)], "contains a list, not a dict of weights by name"),
    "a tensor": (torch.zeros(2), "contains a Tensor, not a dict"),
    "no weights": ({"epoch": 3}, "'epoch' is a int, not weights .* params_ema, params, state_dict, model, net_g"),
    "sparse weights": ({"a": torch.eye(3).to_sparse()}, "'a' is a sparse, quantized or empty tensor"),
    "weights on no device": ({"a": torch.zeros(3, device="meta")}, "'a' is a sparse, quantized or empty tensor"),
    "a terabyte of one number": ({"a": torch.zeros(1).expand(1 << 38)}, "exceed the limit for weights"),
    "one storage many times": (
        {f"{number}": storage for storage in [torch.zeros(1 << 18)] for number in range(2000)},
        "exceed the limit for weights",
    ),
    "control characters": (
        {"\x1b[31mred\n": torch.zeros(2)},
        r"its arrays \(\\x1b\[31mred\\n\) have no known layout",
    ),
    "nothing": ({}, r"its arrays \(nothing\) have no known layout"),
    "another network": (
        {"features.0.weight": torch.zeros(2)},
        r"\(features\.0\.weight\) have no known layout \(known: VDSR.*EDSR-PyTorch.*BasicSR.*Keras.*leftthomas",
    ),
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.filterwarnings("ignore:.*quantized tensor creation:UserWarning")
def test_no_state_dict(tmp_path: Path, content: str) -> None:
    value, message = CONTENTS[content]
    torch.save(value, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", message)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, weights: Weights, zipped: bool, kept: float) -> None:
    path = tmp_path / "a.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    refused(path, "damaged or truncated")


def test_flipped_bits(tmp_path: Path, weights: Weights) -> None:
    path = tmp_path / "a.pth"
    torch.save(weights, path)
    content = bytearray(path.read_bytes())
    place = bytes(content).index(weights["conv_after_body.weight"].numpy().tobytes())
    content[place + 5] ^= 0x10
    path.write_bytes(content)
    refused(path, "damaged or truncated")


@pytest.mark.parametrize("content", [b"\x80", b"\x80\x02", b"\x80\x04]\x94.", b"\x80\x02K\x01.", b"\x80\x02\xff\xff"])
def test_a_pickle_of_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    refused(tmp_path / "a.pth", "not a")


@pytest.mark.parametrize("kept", [12, 200, -1])
def test_safetensors_cut_short(tmp_path: Path, weights: Weights, kept: int) -> None:
    save_file(weights, tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(content[:kept])
    refused(tmp_path / "a.safetensors", "not a readable safetensors file, damaged or truncated")


def test_a_model_of_nitido_needs_no_import(tmp_path: Path, weights: Weights) -> None:
    torch.save(weights, tmp_path / "a.pth")
    save_model(tmp_path / "m.safetensors", *import_model(tmp_path / "a.pth"))
    refused(tmp_path / "m.safetensors", "already a model of nitido")


def test_a_residual_scale_where_there_is_none(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(64, 1, 3, 3)}, tmp_path / "a.pth")
    with pytest.raises(ModelFileError, match=r"VDSR authors.* has no residual scale to choose"):
        import_model(tmp_path / "a.pth", 2, residual_scale=0.1)


def test_a_dict_that_holds_itself(tmp_path: Path) -> None:
    content: dict[str, object] = {}
    content["model"] = content
    torch.save(content, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "wrapped in more than 16 dicts")


def test_a_zip_that_unpacks_to_gigabytes(tmp_path: Path, weights: Weights) -> None:
    torch.save(weights, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as source,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for member in source.namelist():
            target.writestr(member, source.read(member))
        with target.open("archive/data/99", "w", force_zip64=True) as file:
            for _ in range(1100):
                file.write(bytes(1 << 20))
    assert (tmp_path / "b.pth").stat().st_size < 4 << 20
    refused(tmp_path / "b.pth", "its arrays exceed the limit for weights")


def test_members_of_one_name(tmp_path: Path, weights: Weights) -> None:
    """Readers differ in which of the two they take."""
    torch.save(weights, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"again")
    refused(tmp_path / "a.pth", "twice")


def test_weights_that_are_infinite_in_float32(tmp_path: Path, weights: Weights) -> None:
    weights["conv_last.weight"] = torch.full((3, WIDTH, 3, 3), 1e300, dtype=torch.float64)
    torch.save(weights, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "contains NaN or infinite weights")


def test_a_layer_of_zeros(tmp_path: Path, weights: Weights) -> None:
    weights["conv_last.weight"] = torch.zeros(3, WIDTH, 3, 3)
    torch.save(weights, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", r"all weights of conv_last\.weight are zero")


def test_a_file_name_that_cannot_be_printed(tmp_path: Path, weights: Weights) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff\n\x1b[31m.pth"))
    torch.save(weights, tmp_path / "a.pth")
    (tmp_path / "a.pth").rename(path)
    save_model(tmp_path / "m.safetensors", *import_model(path))
    assert load_model_file(tmp_path / "m.safetensors").descriptor.name == r"a\xff\n\x1b[31m"


def test_names_in_messages_are_text(tmp_path: Path, weights: Weights) -> None:
    weights["\x1b[31mred\n"] = torch.ones(1)
    torch.save(weights, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", r"does not have: \\x1b\[31mred\\n$")
