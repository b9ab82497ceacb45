from dataclasses import replace

import pytest

from nitido.architectures import (
    NetworkConfig,
    architecture_names,
    build,
    get_architecture,
    register_architecture,
    resolve_config,
)
from nitido.architectures.srcnn import ARCHITECTURE
from nitido.base.validation import ConfigError


@pytest.mark.parametrize("name", ["srcnn", "SRCNN", "SrCnn"])
def test_lookup_ignores_case(name: str) -> None:
    assert get_architecture(name) is ARCHITECTURE


def test_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown architecture 'srcn': did you mean 'srcnn'"):
        get_architecture("srcn")


def test_part_of_a_name_is_not_a_name() -> None:
    with pytest.raises(ConfigError, match="unknown architecture 'src'"):
        get_architecture("src")


def test_unknown_variant_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown variant of srcnn 'vanila': did you mean 'vanilla'"):
        resolve_config("srcnn", "vanila", {})


@pytest.mark.parametrize("name", ["srcnn", "SRCNN"])
def test_duplicates_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="'srcnn' is already registered"):
        register_architecture(replace(ARCHITECTURE, name=name))
    assert architecture_names().count("srcnn") == 1


def test_a_base_that_is_not_a_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown base variant of other 'vanila'"):
        register_architecture(replace(ARCHITECTURE, name="other", base="vanila"))
    assert "other" not in architecture_names()


@pytest.mark.parametrize("name", architecture_names())
def test_every_variant_of_every_architecture_builds(name: str) -> None:
    architecture = get_architecture(name)
    assert architecture.variants
    for variant in architecture.variants:
        network = build(name, resolve_config(name, variant, {}))
        assert isinstance(network, architecture.network_class)
        assert (network.scale, network.channels) == (network.config.scale, network.config.channels)


def test_overrides_win_over_the_variant_and_the_variant_over_the_defaults() -> None:
    values = resolve_config("srcnn", "pixel_shuffle_residual", {"residual": False, "scale": 4}).model_dump()
    assert (values["residual"], values["scale"], values["upsampler"]) == (False, 4, "pixel_shuffle")


def test_a_foreign_configuration_is_refused() -> None:
    with pytest.raises(ConfigError, match="srcnn needs a SRCNNConfig, got a NetworkConfig"):
        build("srcnn", NetworkConfig())
