from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, ValidationError

from nitido.base.registry import Registry
from nitido.base.validation import ConfigError


@pytest.fixture
def cups() -> Registry[int]:
    registry = Registry[int]("cup")
    registry.register("espresso", 40)
    registry.register("cappuccino", 180)
    return registry


def test_an_entry_is_found_by_its_name(cups: Registry[int]) -> None:
    assert cups["espresso"] == 40
    assert cups.names() == ["cappuccino", "espresso"]


def test_an_unknown_name_suggests_the_nearest(cups: Registry[int]) -> None:
    with pytest.raises(ConfigError, match="unknown cup 'expresso': did you mean 'espresso'"):
        cups["expresso"]


def test_a_taken_name_is_refused_and_its_entry_stays(cups: Registry[int]) -> None:
    with pytest.raises(ConfigError, match="cup 'espresso' is already registered"):
        cups.register("espresso", 60)
    assert cups["espresso"] == 40


def test_a_field_accepts_only_registered_names(cups: Registry[int]) -> None:
    class Order(BaseModel):
        cup: Annotated[str, AfterValidator(cups.check)]

    assert Order(cup="espresso").cup == "espresso"
    with pytest.raises(ValidationError, match="unknown cup 'mocha'"):
        Order(cup="mocha")
    cups.register("mocha", 200)
    assert Order(cup="mocha").cup == "mocha"
