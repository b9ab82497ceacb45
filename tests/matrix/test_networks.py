"""Every key of every architecture's configuration, with every value, through whole studies."""

import pytest

from nitido.architectures import architecture_names
from tests.matrix.conftest import Nitido, run_configs
from tests.matrix.values import network_configs


@pytest.mark.parametrize("architecture", architecture_names())
def test_every_key_of_a_network_in_the_variants_of_one_study(nitido: Nitido, architecture: str) -> None:
    wanted = network_configs(architecture)
    variants = [{"name": f"v{number}", "variant": "debug", "config": own} for number, own in enumerate(wanted)]
    board, out = nitido.finished(changes={"architecture": architecture, "variants": ["debug", *variants]})
    assert len(board["entries"]) == len(wanted) + 2
    configs = run_configs(out)
    for number, own in enumerate(wanted):
        stored = configs[f"v{number}"]["config"]
        assert own == {key: stored[key] for key in own}


def test_the_scale_of_all_networks_is_the_studys(nitido: Nitido) -> None:
    others = [{"name": name, "architecture": name, "variant": "debug"} for name in architecture_names()]
    _, out = nitido.finished(["scale=4"], {"variants": ["debug", *others]})
    assert {config["config"]["scale"] for config in run_configs(out).values()} == {4}


def test_a_variant_at_another_scale_than_its_study_is_refused(nitido: Nitido) -> None:
    ended, _ = nitido.study(changes={"variants": ["debug", {"name": "b", "variant": "debug", "config": {"scale": 3}}]})
    assert ended.code == 1, ended
    assert len(ended.error_lines) == 1
    assert "scale" in ended.error_lines[0]
