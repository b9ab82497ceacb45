"""Rank correlations against a computation from ranks, and against chance."""

import numpy as np
import pytest

from nitido.study.statistics.rank_correlation import FEWEST_IMAGES, relate


def ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(float)


def test_the_correlation_is_pearsons_of_the_ranks() -> None:
    rng = np.random.default_rng(0)
    edges, color = rng.normal(size=(2, 40))
    gains = np.exp(2 * edges) + 0.1 * rng.normal(size=40)
    found = {r.descriptor: r for r in relate(gains, {"color": color, "edges": edges})}
    for name, values in (("edges", edges), ("color", color)):
        expected = np.corrcoef(ranks(gains), ranks(values))[0, 1]
        assert found[name].correlation == pytest.approx(expected)
    assert next(iter(found)) == "edges", "the strongest first"
    assert found["edges"].p_value < 1e-6
    assert relate(-gains, {"edges": edges})[0].correlation == pytest.approx(-found["edges"].correlation)


def test_chance_is_called_a_relation_in_few_of_many_studies() -> None:
    rng = np.random.default_rng(1)
    called = 0
    for _ in range(400):
        descriptors = {str(i): rng.normal(size=30) for i in range(6)}
        called += relate(rng.normal(size=30), descriptors)[0].p_value < 0.05
    assert called / 400 < 0.08


def test_too_few_or_equal_images_say_nothing() -> None:
    values = np.arange(FEWEST_IMAGES - 1.0)
    assert relate(values, {"edges": values}) == ()
    many = np.arange(20.0)
    assert relate(np.ones(20), {"edges": many}) == ()
    assert [r.descriptor for r in relate(many, {"edges": many, "noise": np.ones(20)})] == ["edges"]
