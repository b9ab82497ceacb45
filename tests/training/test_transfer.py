"""Transfer learning: all weights are copied, and none is left out silently."""

import pytest
import torch

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.training.transfer import TransferError, load_weights


def network(seed: int, **changes: object) -> SuperResolutionNetwork:
    torch.manual_seed(seed)
    return build("srresnet", resolve_config("srresnet", "debug", {"blocks": 4, "scale": 2, **changes}))


def test_equal_networks_have_distance_zero() -> None:
    source, target = network(0), network(1)
    report = load_weights(target, source.state_dict(), (), "source")
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    )
    assert set(report.loaded) == set(target.state_dict())
    assert (report.skipped, report.unused) == ((), ())


def test_another_shape_is_an_error_until_a_pattern_allows_it() -> None:
    source, target = network(0), network(1, second_half_block="dense")
    with pytest.raises(TransferError, match=r"source has no body\.2\..*'body\.2' under reinitialize"):
        load_weights(target, source.state_dict(), (), "source")
    fresh = {name: value.clone() for name, value in target.state_dict().items()}
    report = load_weights(target, source.state_dict(), ("body.[23]",), "source")
    for name, value in target.state_dict().items():
        expected = fresh[name] if name.startswith(("body.2", "body.3")) else source.state_dict()[name]
        assert torch.equal(value, expected), name
    assert set(report.skipped) == {name for name in fresh if name.startswith(("body.2", "body.3"))}
    assert all(name.startswith(("body.2", "body.3")) for name in report.unused)


def test_an_error_about_shapes_states_both() -> None:
    with pytest.raises(
        TransferError, match=r"head\.convolution\.weight has another shape \(\(4, 3, 9, 9\) there, \(6, 3"
    ):
        load_weights(network(1, width=6), network(0).state_dict(), (), "source")


def test_a_deeper_source_is_an_error_until_a_pattern_allows_it() -> None:
    source, target = network(0, blocks=5), network(1)
    with pytest.raises(TransferError, match=r"source has body\.4\.\S+, which this network does not have"):
        load_weights(target, source.state_dict(), (), "source")
    report = load_weights(target, source.state_dict(), ("body.4",), "source")
    assert {name.split(".")[1] for name in report.unused} == {"4"}


def test_patterns_that_name_nothing_or_everything_are_refused() -> None:
    with pytest.raises(TransferError, match="pattern 'bodi' of reinitialize matches nothing"):
        load_weights(network(1), network(0).state_dict(), ("bodi",), "source")
    with pytest.raises(TransferError, match="leaves no weights to load"):
        load_weights(network(1), network(0).state_dict(), ("*",), "source")
