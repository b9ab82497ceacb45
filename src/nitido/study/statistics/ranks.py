"""Ranks that variants share when they cannot be told apart."""

from collections.abc import Mapping, Sequence


def shared_ranks(variants: Sequence[str], better: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """1 + the number of variants that are better beyond noise; `better[v]` names those that are better than `v`.

    Being told apart is not transitive (a ≈ b and b ≈ c do not make a ≈ c), so no cut into groups can be right for every
    pair. This rank says of each variant by itself how many are known to be better, and 1 means: nothing is.

    >>> shared_ranks(["a", "b", "c"], {"c": ["a"]})
    {'a': 1, 'b': 1, 'c': 2}
    """
    return {variant: 1 + len(better.get(variant, ())) for variant in variants}
