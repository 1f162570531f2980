"""Which of several pictures fit, decided for all of them together: every set of them is weighed."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@cache
def sets(count: int) -> Floats:
    """(2^count, count) of 0 and 1: every set of so many pictures, at most 16; bit i of its place says whether
    picture i is in it."""
    return ((np.arange(1 << count)[:, None] >> np.arange(count)) & 1).astype(np.float64)


def place_of(chosen: NDArray[np.intp]) -> int:
    """Of the set of these pictures."""
    return int((1 << chosen).sum())


def posterior(
    evidence: NDArray[np.float32], usual: Floats, alike: NDArray[np.float32] | None = None
) -> Floats:
    """(2^n,) how likely each set is, from (n,) log likelihood ratios of fitting, and (n + 1,) how usual so
    many that fit are (shares). `alike` (n, n): by how much likelier two pictures fit both or neither (its
    logarithm; an Ising model in which all are neighbours)."""
    every = sets(len(evidence))
    sizes = every.sum(1).astype(np.intp)
    with np.errstate(divide="ignore"):
        scores = every @ evidence.astype(np.float64) + np.log(usual[sizes] / np.bincount(sizes)[sizes])
    if alike is not None:
        signs = 2 * every - 1
        pull = np.where(np.eye(len(evidence), dtype=bool), 0, alike)
        scores += ((signs @ pull) * signs).sum(1) / 4
    weights: Floats = np.exp(scores - scores.max())
    weights /= weights.sum()
    return weights
