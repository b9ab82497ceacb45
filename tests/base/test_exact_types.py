"""Tests that values that pydantic converts silently are errors in every field."""

from typing import Any

import pytest

from nitido.architectures import resolve_config
from nitido.base.validation import ConfigError
from nitido.study.spec import Study
from nitido.training.hyperparameters import Hyperparameters


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": True}, "batch: input should be a valid integer, got true"),
        ({"batch": 1.0}, "batch: input should be a valid integer, got 1.0"),
        ({"batch": "1.0"}, "batch: input should be a valid integer, got '1.0'"),
        ({"batch": "1_000"}, "batch: input should be a valid integer, got '1_000'"),
        ({"batch": "1e3"}, "batch: input should be a valid integer, got '1e3'"),
        ({"batch": " 5"}, "batch: input should be a valid integer, got ' 5'"),
        ({"batch": "１２"}, "batch: input should be a valid integer, got '１２'"),
        ({"batch": "٣"}, "batch: input should be a valid integer"),
        ({"batch": "true"}, "batch: input should be a valid integer, got 'true'"),
        ({"batch": ["1", "2"]}, "batch: input should be a valid integer, got a list of 2"),
        ({"seed": False}, "seed: input should be a valid integer, got false"),
        ({"validation_crop": 64.0}, "validation_crop: input should be a valid integer, got 64.0"),
        ({"learning_rate": True}, "learning_rate: input should be a valid number, got true"),
        ({"learning_rate": "inf"}, "learning_rate: input should be a finite number, got 'inf'"),
        ({"learning_rate": "1e999"}, "learning_rate: 1e999: the number is too large"),
        ({"learning_rate": "1:30"}, "learning_rate: input should be a valid number, got '1:30'"),
        ({"learning_rate": ["0", "001"]}, r"learning_rate: .*use a decimal point: 0\.001\?"),
        ({"augment": 1}, "augment: input should be true or false, got 1"),
        ({"augment": "yes"}, "augment: input should be true or false, got 'yes'"),
        ({"compile": "on"}, "compile: input should be auto, kernels, true or false, got 'on'"),
        ({"compile": 0}, "compile: .* got 0"),
        ({"loss": {"l1": True}}, "loss.l1: input should be a valid number, got true"),
        (
            {"adversarial": {"discriminator": {"width": True}}},
            "discriminator.width: input should be a valid integer, got true",
        ),
        ({"perceptual": {"normalised": 1}}, "perceptual.normalised: input should be true or false, got 1"),
    ],
)
def test_hyperparameters_are_not_converted(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Hyperparameters.parse({"steps": 10} | values, "test")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": True}, "channels: input should be 1 or 3, got true"),
        ({"channels": 3.0}, r"channels: input should be 1 or 3, got 3\.0"),
        ({"widths": [True, 4]}, "widths.0: input should be a valid integer, got true"),
        ({"widths": ["1_0", "4"]}, "widths.0: input should be a valid integer, got '1_0'"),
        ({"residual": "on"}, "residual: input should be true or false, got 'on'"),
        ({"activation": True}, "activation: input should be a valid string, got true"),
    ],
)
def test_keys_of_networks_are_not_converted(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_config("srcnn", "vanilla", values)


@pytest.mark.parametrize("key", ["seeds", "learning_rates"])
@pytest.mark.parametrize("value", [[True], [False, 1], ["1:30"], ["1_0"]])
def test_the_swept_values_of_a_study_are_not_converted(key: str, value: list[object]) -> None:
    values = {
        "study": "s",
        "profile": "demo",
        "scale": 2,
        "baseline": "debug",
        "variants": [{"name": "debug", "architecture": "srcnn", "variant": "debug"}],
        "data": {},
        "learning_rates": [1e-3],
        "seeds": [0],
        "hyperparameters": {"steps": 1},
    }
    assert Study.parse(values, "test").seeds == (0,)
    with pytest.raises(ConfigError, match=rf"{key}\.0: input should be"):
        Study.parse(values | {key: value}, "test")


def test_text_of_the_command_line_is_parsed_as_numbers_and_bools() -> None:
    options = Hyperparameters.parse(
        {"steps": "010", "learning_rate": "1e-3", "augment": "false", "compile": "true", "validation_crop": "64"},
        "test",
    )
    assert (options.steps, options.learning_rate, options.augment, options.compile, options.validation_crop) == (
        10,
        0.001,
        False,
        True,
        64,
    )
    assert resolve_config("srcnn", "vanilla", {"channels": "1"}).channels == 1
