"""leftthomas/SRGAN's generator as a state dict, against that network written down here once more."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nitido.models import ModelFileError, load_model_file, save_model
from nitido.models.importers import import_model


def conv(inputs: int, outputs: int, kernel_size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.prelu = conv(width, width), nn.BatchNorm2d(width), nn.PReLU()
        self.conv2, self.bn2 = conv(width, width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bn2(self.conv2(self.prelu(self.bn1(self.conv1(x)))))


class Stage(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.prelu = conv(width, 4 * width), nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(nn.functional.pixel_shuffle(self.conv(x), 2))


class Generator(nn.Module):
    """`block1`, then `blocks` residual blocks from `block2` on, then a convolution, then `stages` times ×2."""

    def __init__(self, blocks: int, width: int, stages: int) -> None:
        super().__init__()
        self.block1 = nn.Sequential(conv(3, width, 9), nn.PReLU())
        body = [Block(width) for _ in range(blocks)]
        end = nn.Sequential(conv(width, width), nn.PReLU())
        upscale = nn.Sequential(*(Stage(width) for _ in range(stages)), conv(width, 3, 9))
        self.rest = [*body, end]
        for number, block in enumerate([*body, end, upscale], start=2):
            self.add_module(f"block{number}", block)
        self.upscale = [upscale]

    def forward(self, x: Tensor) -> Tensor:
        shallow = features = self.block1(x)
        for block in self.rest:
            features = block(features)
        return (torch.tanh(self.upscale[0](shallow + features)) + 1) / 2


@pytest.fixture
def generator() -> Generator:
    return make(3, 8, 2)


def make(blocks: int, width: int, stages: int) -> Generator:
    """Random weights, slopes and statistics, so that nothing is hidden by ones and zeros."""
    torch.manual_seed(4)
    network = Generator(blocks, width, stages).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight.data, layer.running_var):
                values.uniform_(0.3, 1.5)
            for values in (layer.bias.data, layer.running_mean):
                values.normal_(0, 0.2)
            layer.running_var[:2] = 1e-5  # where epsilon counts
        elif isinstance(layer, nn.PReLU):
            layer.weight.data.uniform_(-0.3, 0.6)
    return network


@pytest.mark.parametrize(("blocks", "width", "stages"), [(3, 8, 2), (2, 16, 1), (5, 64, 2)])
def test_the_same_image(tmp_path: Path, blocks: int, width: int, stages: int) -> None:
    reference = make(blocks, width, stages)
    torch.save(reference.state_dict(), tmp_path / "netG.pth")
    save_model(tmp_path / "m.safetensors", *import_model(tmp_path / "netG.pth"))
    network, descriptor = load_model_file(tmp_path / "m.safetensors")
    lr = torch.rand(2, 3, 6, 7, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = reference(lr)
        assert expected.std() > 0.02, "an image so flat that wrong weights could pass"
        torch.testing.assert_close(network(lr), expected, rtol=0, atol=1e-5)
    config = descriptor.config
    assert (descriptor.architecture, descriptor.scale) == ("srresnet", 2**stages)
    assert (config["blocks"], config["width"], config["output"]) == (blocks, width, "tanh")
    assert "leftthomas/SRGAN" in descriptor.training["imported"]["layout"]


def test_slopes_per_channel_and_missing_counters_are_accepted(tmp_path: Path, generator: Generator) -> None:
    """Files of torch before 0.4.1 count no batches; per-channel slopes are what the shared ones become."""
    torch.save(generator.state_dict(), tmp_path / "shared.pth")
    weights = {name: value for name, value in generator.state_dict().items() if "num_batches" not in name}
    weights = {name: value.expand(8) if value.shape == (1,) else value for name, value in weights.items()}
    torch.save(weights, tmp_path / "each.pth")
    shared, each = (import_model(tmp_path / name).network.state_dict() for name in ("shared.pth", "each.pth"))
    assert all(torch.equal(shared[name], each[name]) for name in shared)


def refused(path: Path, message: str, scale: int | None = None) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        import_model(path, scale)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_scale_that_contradicts_the_weights(tmp_path: Path, generator: Generator) -> None:
    torch.save(generator.state_dict(), tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "its weights are for scale 4, but --scale is 2", scale=2)


DAMAGES: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "no statistics": (
        lambda w: [w.pop(f"block4.bn2.{kind}") for kind in ("running_mean", "running_var", "bias")],
        r"weights that leftthomas/SRGAN's layout requires are missing: block4\.bn2\.bias, block4\.bn2\.running_mean",
    ),
    "normalised where all published files have a PReLU": (
        lambda w: w.update({f"block5.1.{kind}": torch.ones(8) for kind in ("bias", "running_mean", "running_var")}),
        r"does not have: block5\.1\.bias, block5\.1\.running_mean",
    ),
    "a layer too many": (lambda w: w.update({"block9.weight": torch.zeros(1)}), r"does not have: block9\.weight"),
    "grey images": (
        lambda w: w.update({"block1.0.weight": w["block1.0.weight"][:, :1]}),
        r"block1\.0\.weight is \(8, 1, 9, 9\)",
    ),
    "no upsampler": (lambda w: [w.pop(f"block6.{n}.conv.weight") for n in (0, 1)], "upsampled by nothing"),
    "three times": (
        lambda w: [w.pop("block6.1.conv.weight"), w.update({"block6.0.conv.weight": torch.zeros(72, 8, 3, 3)})],
        "srresnet.*scale: input should be 2 or 4, got 3",
    ),
    "infinity": (
        lambda w: w["block4.bn2.running_var"].fill_(torch.inf),
        r"block4\.bn2\.running_var contains NaN",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_do_not_fit(tmp_path: Path, generator: Generator, damage: str) -> None:
    change, message = DAMAGES[damage]
    weights = dict(generator.state_dict())
    change(weights)
    torch.save(weights, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", message)
