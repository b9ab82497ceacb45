"""The benchmark of the data looks at every built-in study. That it measures two of them is tested with the command."""

import pytest

from nitido.benchmarking import data_speed
from nitido.benchmarking.data_share import DataShare
from nitido.study.spec import builtin_names


def test_the_share_of_every_builtin_study_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here without its steps, of which some take seconds."""

    def unmeasured(study: str, rounds: int, device: object) -> DataShare:
        return DataShare(study, "debug", "srcnn", 1, 8, 1.0, 4.0)

    monkeypatch.setattr(data_speed, "measure_share", unmeasured)
    found = data_speed.measure_data(["samples/validation[:1]"], scale=2, batch=1, patch=8, rounds=1)
    assert [share.study for share in found.shares] == builtin_names()
    assert {share.share for share in found.shares} == {0.25}
