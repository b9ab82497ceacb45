"""EDSR state dicts of EDSR-PyTorch and BasicSR against networks with those layouts, written down here once more."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nitido.base import notes
from nitido.models import ModelFileError, load_model_file, save_model
from nitido.models.importers import import_model

MEAN = torch.tensor([0.4488, 0.4371, 0.4040])


def conv(inputs: int, outputs: int, kernel_size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)


def growing(width: int, scale: int) -> nn.Sequential:
    stages = {2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale]
    return nn.Sequential(*(layer for r in stages for layer in (conv(width, width * r * r), nn.PixelShuffle(r))))


class Shift(nn.Conv2d):
    """The mean color as a 1×1 convolution: `sign` times the mean is added."""

    def __init__(self, sign: float, white: float) -> None:
        super().__init__(3, 3, 1)
        self.weight.data = torch.eye(3)[:, :, None, None]
        self.bias.data = sign * white * MEAN


class AuthorsBlock(nn.Module):
    def __init__(self, width: int, residual_scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(width, width), nn.ReLU(), conv(width, width))
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) * self.residual_scale


class AuthorsEDSR(nn.Module):
    """EDSR-PyTorch: images in 0 … `white`."""

    def __init__(self, blocks: int, width: int, scale: int, residual_scale: float, white: float = 255.0) -> None:
        super().__init__()
        self.white = white
        self.sub_mean, self.add_mean = Shift(-1, white), Shift(1, white)
        self.head = nn.Sequential(conv(3, width))
        body = [AuthorsBlock(width, residual_scale) for _ in range(blocks)]
        self.body = nn.Sequential(*body, conv(width, width))
        self.tail = nn.Sequential(growing(width, scale), conv(width, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(x + self.body(x)))

    def in_unit_range(self, x: Tensor) -> Tensor:
        return self(x * self.white) / self.white


class BasicBlock(nn.Module):
    def __init__(self, width: int, residual_scale: float) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(width, width), conv(width, width)
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x).relu()) * self.residual_scale


class BasicEDSR(nn.Module):
    """BasicSR: images in 0 … 1, a network that computes in 0 … 255, the mean in no state dict."""

    def __init__(self, blocks: int, width: int, scale: int, residual_scale: float) -> None:
        super().__init__()
        self.conv_first = conv(3, width)
        self.body = nn.Sequential(*(BasicBlock(width, residual_scale) for _ in range(blocks)))
        self.conv_after_body = conv(width, width)
        self.upsample = growing(width, scale)
        self.conv_last = conv(width, 3)

    def in_unit_range(self, x: Tensor) -> Tensor:
        mean = MEAN[:, None, None].to(x)
        x = self.conv_first((x - mean) * 255)
        return self.conv_last(self.upsample(x + self.conv_after_body(self.body(x)))) / 255 + mean


def randomise(network: nn.Module, white: float) -> None:
    """Weights that keep the features' size, and biases that matter in 0 … `white`."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and not isinstance(layer, Shift):
            nn.init.normal_(layer.weight, std=(2 / layer.weight[0].numel()) ** 0.5 / 2)
            nn.init.normal_(layer.bias, std=0.08 * white)


def make(kind: Callable[..., nn.Module], *sizes: float) -> nn.Module:
    network = kind(*sizes)
    randomise(network, getattr(network, "white", 255.0))
    return network


def check_parity(source: Path, reference: nn.Module, residual_scale: float | None = None) -> nn.Module:
    """Assert that the written model file computes what `reference` does, including borders."""
    model = source.with_name("m.safetensors")
    save_model(model, *import_model(source, residual_scale=residual_scale))
    network = load_model_file(model).network
    torch.manual_seed(2)
    lr = torch.rand(2, 3, 6, 7)
    with torch.no_grad():
        expected = reference.in_unit_range(lr)
        assert expected.std() > 0.05, "an image so flat that wrong weights could pass"
        torch.testing.assert_close(network(lr), expected, rtol=0, atol=1e-5)
    return network


LAYOUTS = {"EDSR-PyTorch": AuthorsEDSR, "BasicSR": BasicEDSR}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_image(tmp_path: Path, layout: str, scale: int) -> None:
    reference = make(LAYOUTS[layout], 3, 8, scale, 1.0)
    torch.save(reference.state_dict(), tmp_path / "weights.pt")
    config = check_parity(tmp_path / "weights.pt", reference).config
    assert (config.scale, config.blocks, config.width, config.residual_scale) == (scale, 3, 8, 1.0)
    assert config.rgb_mean == (0.4488, 0.4371, 0.4040)
    descriptor = import_model(tmp_path / "weights.pt").descriptor
    assert layout in descriptor.training["imported"]["layout"]
    assert (descriptor.architecture, descriptor.name) == ("edsr", "weights")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_chosen_residual_scale(tmp_path: Path, layout: str) -> None:
    reference = make(LAYOUTS[layout], 2, 8, 2, 0.3)
    torch.save(reference.state_dict(), tmp_path / "weights.pt")
    assert check_parity(tmp_path / "weights.pt", reference, residual_scale=0.3).config.residual_scale == 0.3
    with pytest.raises(AssertionError, match="not close"):  # the factor does matter
        check_parity(tmp_path / "weights.pt", reference)


@pytest.mark.parametrize(("blocks", "width", "assumed"), [(2, 8, True), (16, 64, False)])
def test_an_assumed_residual_scale_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    blocks: int,
    width: int,
    assumed: bool,
) -> None:
    monkeypatch.setattr(notes, "_said", set())
    torch.save(make(BasicEDSR, blocks, width, 2, 1.0).state_dict(), tmp_path / "weights.pt")
    import_model(tmp_path / "weights.pt", residual_scale=1.0)
    assert capsys.readouterr().err == ""
    assert import_model(tmp_path / "weights.pt").descriptor.config["residual_scale"] == 1.0
    assert ("residual scale: 1 is assumed" in capsys.readouterr().err) == assumed


def test_the_published_large_edsr_adds_a_tenth(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in BasicEDSR(32, 256, 2, 0.1).state_dict().items()}
    torch.save({name: torch.ones(1).expand(shape) for name, shape in shapes.items()}, tmp_path / "large.pth")
    descriptor = import_model(tmp_path / "large.pth").descriptor
    assert descriptor.config["residual_scale"] == 0.1
    assert descriptor.parameters == 40_729_603


def test_images_with_values_up_to_one(tmp_path: Path) -> None:
    reference = make(AuthorsEDSR, 2, 8, 2, 1.0, 1.0)
    torch.save(reference.state_dict(), tmp_path / "weights.pt")
    check_parity(tmp_path / "weights.pt", reference)


def refused(path: Path, message: str, **choices: float) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        import_model(path, **choices)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def changed(path: Path, reference: nn.Module, change: Callable[[dict[str, Tensor]], object]) -> Path:
    weights = dict(reference.state_dict())
    change(weights)
    torch.save(weights, path)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_scale_that_contradicts_the_weights(tmp_path: Path, layout: str) -> None:
    path = changed(tmp_path / "a.pt", make(LAYOUTS[layout], 1, 8, 4, 1.0), lambda w: None)
    assert import_model(path, scale=4).descriptor.scale == 4
    refused(path, "its weights are for scale 4, but --scale is 2", scale=2)


@pytest.mark.parametrize("residual_scale", [0.0, 1.5, float("nan")])
def test_an_impossible_residual_scale(tmp_path: Path, residual_scale: float) -> None:
    path = changed(tmp_path / "a.pt", make(BasicEDSR, 1, 8, 2, 1.0), lambda w: None)
    refused(path, "residual_scale: input should be", residual_scale=residual_scale)


def test_the_network_runs_eight_times(tmp_path: Path) -> None:
    path = changed(tmp_path / "a.pt", make(AuthorsEDSR, 1, 4, 8, 1.0), lambda w: None)
    refused(path, "its features are upsampled by ×2 and ×2 and ×2, not by ×2, ×3, or ×2 twice")


DAMAGES: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "no mean": (
        lambda w: w.pop("add_mean.bias"),
        "EDSR-PyTorch's layout requires are missing: add_mean.bias",
    ),
    "another mean": (lambda w: w["add_mean.bias"].mul_(2), "sub_mean and add_mean do more than"),
    "a deviation": (lambda w: w["sub_mean.weight"].mul_(2), "sub_mean and add_mean do more than"),
    "no layer": (lambda w: w.pop("body.1.body.2.weight"), r"are missing: body\.1\.body\.2\.weight"),
    "no body": (lambda w: w.pop("body.0.body.0.weight"), "no known layout"),
    "no upsampler": (lambda w: w.pop("tail.0.0.weight"), "upsampled by nothing"),
    "batch normalization": (
        lambda w: w.update({"body.0.body.1.weight": torch.ones(8)}),
        r"does not have: body\.0\.body\.1\.weight",
    ),
    "one color": (
        lambda w: w.update({"head.0.weight": w["head.0.weight"][:, :1]}),
        r"head\.0\.weight is \(8, 1, 3, 3\) float32, but EDSR-PyTorch's layout needs \(8, 3, 3, 3\)",
    ),
    "no convolution": (lambda w: w.update({"head.0.weight": torch.zeros(8)}), r"head\.0\.weight is \(8,\), not"),
    "no channels": (
        lambda w: w.update({"head.0.weight": torch.zeros(0, 3, 3, 3)}),
        r"head\.0\.weight is \(0, 3, 3, 3\), not",
    ),
    "NaN": (lambda w: w["tail.1.bias"].fill_(torch.nan), r"tail\.1\.bias contains NaN"),
    "whole numbers": (
        lambda w: w.update({"tail.1.weight": w["tail.1.weight"].long()}),
        r"tail\.1\.weight is .* int64",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_do_not_fit(tmp_path: Path, damage: str) -> None:
    change, message = DAMAGES[damage]
    refused(changed(tmp_path / "a.pt", make(AuthorsEDSR, 2, 8, 2, 1.0), change), message)


def test_basicsrs_msrresnet_is_known_and_refused(tmp_path: Path) -> None:
    layers = ["conv_first", "body.0.conv1", "body.0.conv2", "upconv1", "upconv2", "conv_hr", "conv_last"]
    torch.save({"params": {f"{name}.weight": torch.zeros(4, 4, 3, 3) for name in layers}}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "BasicSR's MSRResNet, which nitido does not support: .*bilinear")
