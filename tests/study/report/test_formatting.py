import itertools
import math

import pytest

from nitido.study.report.formatting import amount, change, interval, signed
from nitido.study.report.svg import Axis, element, log_ticks, ticks


@pytest.mark.parametrize("value", [999, 999_499, 999_500, 1_000_000, 57_281, 12_345_678_900, 1])
def test_an_amount_is_the_number_to_three_digits(value: int) -> None:
    number, _, prefix = amount(value).partition(" ")
    read = float(number) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[prefix]
    assert read == pytest.approx(value, rel=0.006)
    assert len(number.replace(".", "")) <= 3


def test_signs_and_intervals_have_no_negative_zero() -> None:
    assert signed(-0.0004, 2) == "+0.00"
    assert interval(-0.0004, 0.17, 2) == "[0.00, 0.17]"


def test_a_change_in_words() -> None:
    assert change(110, 100, "parameters") == "10% more parameters"
    assert change(100_001, 100_000, "parameters") == "nearly as many parameters"
    assert change(1.0, 1.0, "time", "less") == "the same time"
    assert change(1, 200, "parameters") == "1/200 of the parameters", "not 100% fewer"
    assert change(2, 200, "parameters") == "99% fewer parameters"


@pytest.mark.parametrize(("low", "high"), [(-0.37, 1.9), (31.93, 32.04), (0, 1e9), (5, 5), (-2e-5, 7e-5)])
def test_ticks_are_inside_and_evenly_spread(low: float, high: float) -> None:
    found = ticks(low, high, 5)
    assert 1 <= len(found) <= 8
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in found)
    gaps = [b - a for a, b in itertools.pairwise(found)]
    assert gaps == pytest.approx([gaps[0]] * len(gaps)) if gaps else len(found) == 1


@pytest.mark.parametrize(("low", "high"), [(8_000, 120_000), (1.0, 1e9), (100, 130)])
def test_logarithmic_ticks(low: float, high: float) -> None:
    found = log_ticks(low, high, 4)
    assert len(found) >= 2
    assert all(low <= value <= high for value in found)


def test_a_logarithmic_axis_puts_the_geometric_mean_in_the_middle() -> None:
    axis = Axis(10, 1000, 0, 200, log=True)
    assert axis(math.sqrt(10 * 1000)) == pytest.approx(100)


def test_what_stands_in_an_element_is_escaped_once() -> None:
    inner = element("title", '<b>&"')
    assert str(element("g", inner, data_name='a"b')) == '<g data-name="a&#34;b"><title>&lt;b&gt;&amp;&#34;</title></g>'
