"""Networks in use in bfloat16: the image itself is never rounded to eight bits."""

import pytest
import torch

from nitido.architectures import build, resolve_config

# The largest error, as a share of the image's contrast. A chain of layers without a skip, as VDSR's, hands on
# features that are rounded to bfloat16 after every layer.
CASES = [
    ("srcnn", "pixel_shuffle", {}, 0.01),
    ("srcnn", "pixel_shuffle", {"residual": True}, 0.01),
    ("vdsr", "compact", {}, 0.03),
    ("vdsr", "compact", {"residual": False}, 0.03),
    ("edsr", "compact", {"residual": False}, 0.01),
    ("edsr", "compact", {"residual": True}, 0.01),
    ("rdn", "compact", {"residual": False}, 0.01),
    ("srresnet", "compact", {"scale": 2, "residual": False}, 0.01),
]


def grown(network: torch.nn.Module) -> None:
    """Give the last layer weights that count: a fresh one is nearly silent."""
    with torch.no_grad():
        network.reconstruction.weight.mul_(100)


@pytest.mark.parametrize(("architecture", "variant", "config", "largest"), CASES)
def test_the_image_keeps_its_precision(
    architecture: str, variant: str, config: dict[str, object], largest: float
) -> None:
    torch.manual_seed(0)
    network = build(architecture, resolve_config(architecture, variant, config)).eval()
    grown(network)
    lr = torch.rand(1, network.channels, 13, 17)
    with torch.inference_mode():
        exact = network(lr)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(lr)
    assert half.dtype == torch.float32
    assert not torch.equal(half, half.bfloat16().float())
    assert not torch.equal(half, exact)  # something did run in bfloat16
    error = (half - exact).square().mean().sqrt() / exact.std()
    assert error < largest


def test_the_features_that_skips_carry_stay_float32() -> None:
    network = build("edsr", resolve_config("edsr", "compact", {})).eval()
    seen: list[torch.dtype] = []
    for block in network.body:
        block.register_forward_hook(lambda module, given, output: seen.append(output.dtype))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(1, 3, 9, 9))
    assert set(seen) == {torch.float32}


def test_training_runs_in_bfloat16_throughout() -> None:
    network = build("edsr", resolve_config("edsr", "compact", {"residual": False})).train()
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 3, 9, 9)).dtype == torch.bfloat16
