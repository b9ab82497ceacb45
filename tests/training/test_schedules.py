"""Learning-rate factors: ends, monotony, warm-up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nitido.training.hyperparameters import Hyperparameters
from nitido.training.schedules import ScheduleError, learning_rate_factor, refuse_long_warmup


def factors(total: int, **options: object) -> list[float]:
    hyperparameters = Hyperparameters(steps=total, **options)
    return [learning_rate_factor(step, total, hyperparameters) for step in range(total)]


@given(st.integers(2, 300), st.integers(0, 50), st.sampled_from(["constant", "cosine", "step"]))
def test_factors_rise_to_one_and_then_never_rise_again(total: int, warmup: int, schedule: str) -> None:
    values = factors(total + warmup, warmup=warmup, schedule=schedule)
    assert all(0 <= value <= 1 for value in values)
    assert values[warmup] == pytest.approx(1.0)
    assert values[:warmup] == sorted(values[:warmup])
    assert values[warmup:] == sorted(values[warmup:], reverse=True)


def test_cosine_ends_near_zero_and_is_half_way_at_half_time() -> None:
    values = factors(1000, schedule="cosine")
    assert values[-1] < 1e-5
    assert values[500] == pytest.approx(0.5)


def test_step_divides_by_ten_after_each_quarter() -> None:
    assert factors(8, schedule="step") == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_the_constant_schedule_is_constant() -> None:
    assert set(factors(20, schedule="constant")) == {1.0}


def test_a_run_that_would_end_in_its_warmup_is_refused() -> None:
    refuse_long_warmup(Hyperparameters(steps=4, warmup=3), 4)
    for warmup in (4, 1000):
        with pytest.raises(
            ScheduleError, match=rf"warmup {warmup:,}: a run of 4 steps would never reach .* of 0.001: use"
        ):
            refuse_long_warmup(Hyperparameters(epochs=0.1, warmup=warmup), 4)
