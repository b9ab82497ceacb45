"""Ranks that variants share when they cannot be told apart."""

from collections.abc import Mapping, Sequence


def shared_ranks(ordered: Sequence[str], better: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """1 + the number of variants that are better beyond noise, or the rank of the one above where that is more.

    `ordered` goes from the best mean to the worst; `better[v]` names those that are better than `v`. Being told apart
    is not transitive (a ≈ b and b ≈ c do not make a ≈ c), so no cut into groups can be right for every pair. Ranks do
    not go up down the table: a variant with few or erratic seeds may not be known to be worse than anything, which
    is no reason to put it above others with a better mean.

    >>> shared_ranks(["a", "b", "c"], {"c": ["a"]})
    {'a': 1, 'b': 1, 'c': 2}
    >>> shared_ranks(["a", "b", "erratic"], {"b": ["a"]})
    {'a': 1, 'b': 2, 'erratic': 2}
    """
    ranks: dict[str, int] = {}
    above = 1
    for variant in ordered:
        above = max(above, 1 + len(better.get(variant, ())))
        ranks[variant] = above
    return ranks
