"""The forecast of remaining time is exact where time follows its model, and never negative."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitido.study.forecast import Workload, forecast

positive = st.floats(1e-3, 1e3)


@given(constant=st.floats(0, 10), slope=positive, macs=st.lists(positive, min_size=2, max_size=6, unique=True))
def test_a_step_of_constant_plus_proportional_time_is_forecast_exactly(
    constant: float, slope: float, macs: list[float]
) -> None:
    works = [Workload(f"v{number}", 100 + number, value) for number, value in enumerate(macs)]
    measured = [(work, work.steps * (constant + slope * work.macs)) for work in works]
    new = Workload("new", 50, 2 * max(macs))
    assert forecast(new, measured) == pytest.approx(50 * (constant + slope * new.macs), rel=1e-3)


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=6), positive)
def test_a_forecast_is_never_negative(measured: list[tuple[float, float]], macs: float) -> None:
    runs = [(Workload(f"v{number}", 10, work), seconds) for number, (work, seconds) in enumerate(measured)]
    found = forecast(Workload("new", 10, macs), runs)
    assert found is not None
    assert found >= 0


def test_runs_of_the_same_variant_decide_and_without_any_run_nothing_is_known() -> None:
    work = Workload("vanilla", 1000, 1e9)
    measured = [
        (Workload("vanilla", 100, 1e9), 3.0),
        (Workload("vanilla", 100, 1e9), 5.0),
        (Workload("deep", 1, 1e12), 9.0),
    ]
    assert forecast(work, measured) == pytest.approx(40.0)
    assert forecast(work, []) is None
    assert forecast(work, [(Workload("vanilla", 0, 1e9), 3.0)]) is None, "no step, no measurement"
