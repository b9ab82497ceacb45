from hypothesis import given
from hypothesis import strategies as st

from nitido.training.collapse import WINDOW, CollapseGuard

levels = st.floats(0, 60)


@given(start=levels, later=levels, drop=st.floats(0.5, 20))
def test_only_a_lasting_drop_is_a_collapse(start: float, later: float, drop: float) -> None:
    guard = CollapseGuard(drop)
    assert not any(guard.observe(start) for _ in range(WINDOW))
    verdicts = [guard.observe(later) for _ in range(20 * WINDOW)]
    if start - later > drop * 1.01:
        assert verdicts[-1] is not None
    if start - later < drop * 0.99:
        assert not any(verdicts)


def test_one_hard_batch_is_not_a_collapse() -> None:
    guard = CollapseGuard(6.0)
    assert not any(guard.observe(30.0) for _ in range(100))
    assert guard.observe(5.0) is None


def test_the_message_states_both_levels() -> None:
    guard = CollapseGuard(6.0)
    for _ in range(WINDOW):
        guard.observe(28.0)
    message = next(filter(None, (guard.observe(10.0) for _ in range(100))))
    assert message.startswith("PSNR on training patches fell from 28.0 to ")


@given(values=st.lists(levels, min_size=1, max_size=80), cut=st.integers(0, 80))
def test_the_state_survives_a_checkpoint(values: list[float], cut: int) -> None:
    whole, first, second = CollapseGuard(3.0), CollapseGuard(3.0), CollapseGuard(3.0)
    expected = [whole.observe(value) for value in values]
    found = [first.observe(value) for value in values[:cut]]
    second.restore(first.state())
    found += [second.observe(value) for value in values[cut:]]
    assert found == expected
