"""Assign shared ranks to variants without a significant difference."""

from collections.abc import Mapping, Sequence


def shared_ranks(ordered: Sequence[str], better: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return for each variant 1 + the number of significantly better ones, or the rank above it if that is larger.

    `ordered` goes from the best mean to the worst; `better[v]` names the variants that are significantly better than
    `v`. Significance is not transitive (a ≈ b and b ≈ c do not imply a ≈ c), so groups cannot be correct for every
    pair. Ranks never decrease down the table: a variant with few or erratic seeds may not be significantly worse than
    any other, which must not lift it above a better mean.

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
