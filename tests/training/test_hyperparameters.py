"""Tests validation of hyperparameters and its error messages."""

import math

import pytest

from nitido.base.validation import ConfigError
from nitido.training.hyperparameters import Hyperparameters


def parse(**values: object) -> Hyperparameters:
    return Hyperparameters.parse({"steps": 10} | values, "test")


def test_a_bare_loss_name_has_weight_one() -> None:
    assert parse(loss="l2").loss == {"l2": 1.0}
    assert parse(loss=["l1", "l2"]).loss == {"l1": 1.0, "l2": 1.0}
    assert parse(loss={"l1": 0.5, "l2": 2}).loss == {"l1": 0.5, "l2": 2.0}


def test_numbers_may_come_as_text_from_the_command_line() -> None:
    options = parse(learning_rate="2e-3", batch="4", augment="false")
    assert (options.learning_rate, options.batch, options.augment) == (0.002, 4, False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": -1}, "learning_rate.*greater than 0.*-1"),
        ({"learning_rate": math.nan}, "learning_rate.*finite"),
        ({"learning_rate": "nan"}, "learning_rate.*finite"),
        ({"lerning_rate": 1e-3}, "unknown key 'lerning_rate': did you mean 'learning_rate'"),
        ({"loss": "charbonier"}, "unknown loss 'charbonier': did you mean 'charbonnier'"),
        ({"loss": {}}, "at least one loss term"),
        ({"optimizer": "adm"}, "optimizer.*did you mean 'adam'"),
        ({"batch": 0}, "batch.*greater than 0"),
        ({"epochs": 3}, "either steps or epochs"),
        ({"ema": 1.0}, "ema.*less than 1"),
        ({"precision": "float8"}, "precision.*float32"),
    ],
)
def test_mistakes_are_one_line_that_names_the_key(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse(**values)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("test: ")


def test_a_length_is_required() -> None:
    with pytest.raises(ConfigError, match="either steps or epochs"):
        Hyperparameters.parse({}, "test")
