"""Every hyperparameter, with every kind of value, through whole studies: it is obeyed, or refused in one line."""

from typing import Any

import pytest

from tests.matrix.conftest import Nitido, complete, run_configs
from tests.matrix.values import Value, dependent_on_the_machine, hyperparameters

ROWS = hyperparameters()
WORKING = {key: [value for value in values if not value.refused] for key, values in ROWS.items()}
REFUSED = [(key, value) for key, values in ROWS.items() for value in values if value.refused]


def settings(key: str, value: Value) -> dict[str, str]:
    return {**value.needs, key: value.value}


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as groups, and lists for words with commas, as `--set` makes them."""
    groups: dict[str, Any] = {}
    for key, value in flat.items():
        *path, name = key.split(".")
        place = groups
        for part in path:
            place = place.setdefault(part, {})
        place[name] = value.split(",") if "," in value else value
    return groups


def variants_with_every_value() -> list[dict[str, str]]:
    """Settings of variants: the n-th has the n-th value of every key that goes with any other, so that they are few."""
    together: list[dict[str, str]] = []
    for key, values in WORKING.items():
        for number, value in enumerate(values):
            wanted = settings(key, value)
            for own in together[number:]:
                if all(own.get(name, text) == text for name, text in wanted.items()) and (
                    not {"steps", "epochs"} <= {*own, *wanted}
                ):
                    own.update(wanted)
                    break
            else:
                together.append(wanted)
    return together


def test_every_value_in_the_variants_of_one_study(nitido: Nitido) -> None:
    wanted = variants_with_every_value()
    variants = [
        {"name": f"v{number}", "variant": "debug", "hyperparameters": nested(own)} for number, own in enumerate(wanted)
    ]
    board, out = nitido.finished(changes={"variants": ["debug", *variants]})
    assert len(board["entries"]) == len(wanted) + 2
    configs = run_configs(out)
    for number, own in enumerate(wanted):
        check_obeyed(configs[f"v{number}"], own)


def check_obeyed(config: dict[str, Any], own: dict[str, str]) -> None:
    for key, value in own.items():
        stored = config["hyperparameters"]
        for part in key.split("."):
            stored = stored[part]
        assert obeyed(stored, value), (key, value, stored)


@pytest.mark.parametrize("number", range(len(variants_with_every_value())))
def test_every_value_set_for_a_whole_study(nitido: Nitido, number: int) -> None:
    own = variants_with_every_value()[number]
    _, out = nitido.finished([f"{key}={value}" for key, value in own.items()])
    check_obeyed(run_configs(out)["debug"], own)


@pytest.mark.parametrize("own", dependent_on_the_machine(), ids=str)
def test_what_the_machine_may_not_have_is_done_or_refused_in_one_line(nitido: Nitido, own: dict[str, str]) -> None:
    words = [f"{key}={value}" for key, value in own.items()]
    ended, out = nitido.study(words)
    if ended.code == 0:
        complete(out)
    else:
        assert len(ended.error_lines) == 1, ended


@pytest.mark.parametrize(("key", "value"), REFUSED, ids=[f"{key}={value.value}" for key, value in REFUSED])
def test_what_cannot_be_is_one_line_before_any_training(nitido: Nitido, key: str, value: Value) -> None:
    words = [f"{name}={text}" for name, text in settings(key, value).items()]
    ended, out = nitido.study(words)
    assert ended.code == 1, ended
    assert len(ended.error_lines) == 1, ended
    assert value.refused in ended.error_lines[0]
    assert not (out / "runs" / "debug").exists()


def obeyed(stored: Any, value: str) -> bool:
    """Whether a configuration says what `value` asked for."""
    words = value.split(",")
    if isinstance(stored, dict):
        return list(stored) == words
    if isinstance(stored, list):
        return list(map(str, stored)) == words or list(map(float, stored)) == list(map(float, words))
    if isinstance(stored, bool):
        return str(stored).lower() == value
    return str(stored) == value or float(stored) == float(value)
