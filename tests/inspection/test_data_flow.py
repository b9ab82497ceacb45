import pytest
import torch
from torch import Tensor, nn

from nitido.architectures import NetworkConfig, SuperResolutionNetwork, build, resolve_config
from nitido.architectures.layers import same_convolution
from nitido.inspection.data_flow import data_flow, users


class ResidualBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = same_convolution(8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convolution(x)


class Deep(SuperResolutionNetwork):
    """A head, a normalised body of equal blocks with a skip around it, and a shuffled tail."""

    def __init__(self, blocks: int) -> None:
        super().__init__(NetworkConfig(), receptive_field_radius=blocks + 2)
        self.head = same_convolution(3, 8, 3)
        self.body = nn.Sequential(
            *(ResidualBlock() for _ in range(blocks)), same_convolution(8, 8, 3), nn.BatchNorm2d(8), nn.PReLU(8)
        )
        self.tail = nn.Sequential(same_convolution(8, 12, 3), nn.PixelShuffle(2))

    def forward(self, lr: Tensor) -> Tensor:
        features = self.head(lr)
        return self.tail(features + self.body(features))


class Dense(SuperResolutionNetwork):
    """The outputs of all blocks, or of the first and the last one only, are used together."""

    def __init__(self, every: bool) -> None:
        super().__init__(NetworkConfig(), receptive_field_radius=5)
        self.every = every
        self.head = same_convolution(3, 8, 3)
        self.blocks = nn.ModuleList(ResidualBlock() for _ in range(3))
        self.tail = nn.Sequential(same_convolution(24 if every else 8, 12, 3), nn.PixelShuffle(2))

    def forward(self, lr: Tensor) -> Tensor:
        features, outputs = self.head(lr), []
        for block in self.blocks:
            features = block(features)
            outputs.append(features)
        return self.tail(torch.cat(outputs, 1) if self.every else outputs[0] + outputs[-1])


def test_parameters_and_edges_of_a_residual_network() -> None:
    network = build("srcnn", resolve_config("srcnn", "pixel_shuffle_residual", {}))
    flow = data_flow(network)
    assert sum(block.parameters for block in flow.values()) == 81_123
    assert users(flow, "lr") == ["extraction", "upscale"]
    (total,) = (block for block in flow.values() if block.kind == "sum")
    assert set(total.inputs) == {"upscale", "reconstruction"}


def test_shapes_follow_the_scale() -> None:
    flow = data_flow(build("srcnn", resolve_config("srcnn", "debug", {"scale": 4, "channels": 1})))
    assert flow["lr"].shape == "1 · h×w"
    assert flow["upscale"].shape == flow["output"].shape == "1 · 4h×4w"


def test_transposed_convolution_is_an_upsampling_with_its_activation() -> None:
    overrides = {"upsampler": "transposed", "scale": 3, "activation": "gelu", "residual": False}
    flow = data_flow(build("srcnn", resolve_config("srcnn", "debug", overrides)))
    (block,) = (block for block in flow.values() if block.kind == "upsampling")
    assert block.lines == ("Transposed conv 5×5, stride 3", "GELU", "4 → 4 channels")
    assert block.shape == "4 · 3h×3w"


def test_equal_blocks_in_a_row_become_one() -> None:
    flow = data_flow(Deep(16))
    (chain,) = (block for block in flow.values() if block.kind == "block")
    assert (chain.repeats, chain.lines, chain.parameters) == (16, ("ResidualBlock",), 16 * (9 * 8 * 8 + 8))
    assert users(flow, "head") == [chain.name, "add"]


def test_a_nested_block_shows_its_recipe() -> None:
    overrides = {"block": "rrdb", "second_half_block": "channel_attention", "normalization": "none", "blocks": 5}
    flow = data_flow(build("srresnet", resolve_config("srresnet", "debug", overrides)))
    blocks = [(block.lines, block.repeats) for block in flow.values() if block.kind == "block"]
    assert blocks == [(("ResidualBlock", "rrdb"), 2), (("ResidualBlock", "channel attention"), 3)]
    normalised = data_flow(build("srresnet", resolve_config("srresnet", "debug", {"block": "dense"})))
    assert ("ResidualBlock", "dense", "BatchNorm2d") in [block.lines for block in normalised.values()]


def test_nearest_neighbors_are_an_upsampling() -> None:
    flow = data_flow(build("edsr", resolve_config("edsr", "debug", {"upsampler": "nearest", "scale": 4})))
    shapes = [(block.lines, block.shape) for block in flow.values() if block.kind == "upsampling"]
    assert shapes == [(("Nearest ×2",), "4 · 2h×2w"), (("Nearest ×2",), "4 · 4h×4w")]


def test_a_convolution_includes_its_normalization_and_activation() -> None:
    labels = [block.lines for block in data_flow(Deep(2)).values()]
    assert ("Conv 3×3", "BatchNorm2d", "PReLU", "8 → 8 channels") in labels


def test_concatenated_blocks_become_one_but_single_skips_stay_visible() -> None:
    dense = [(block.lines[0], block.repeats) for block in data_flow(Dense(every=True)).values()]
    assert ("ResidualBlock", 3) in dense
    assert ("Concatenate", 1) in dense
    flow = data_flow(Dense(every=False))
    assert [block.repeats for block in flow.values() if block.kind == "block"] == [1, 2]
    (total,) = (block for block in flow.values() if block.kind == "sum")
    assert len(total.inputs) == 2


@pytest.mark.parametrize("training", [True, False])
def test_tracing_leaves_the_network_as_it_was(training: bool) -> None:
    network = Deep(1).train(training)
    data_flow(network)
    assert network.training is training
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}
