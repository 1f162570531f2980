"""The rules that need no vocabulary: each says how much every object of a view is what was asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from legible.recognizers.click.model import View
from legible.recognizers.click.wordings import Rule

Floats = NDArray[np.float64]
# How much of its lead a pair loses for each deviation that its two differ by: where nothing is alike, two
# objects are the nearest all the same.
FAR = 0.0124


@dataclass(frozen=True, slots=True)
class Choice:
    """`objects`: places in the view, best first; `margin`: how far they are ahead of the next best choice (0
    or more), or where a thing is named, of all other objects together."""

    objects: tuple[int, ...]
    margin: float


def odd(view: View, count: int) -> Choice:
    """What has no twin, in any way: each way is measured by how far the others are from theirs. Several that
    are asked for may be each other's, so then the next but so many counts."""
    scores = np.zeros(len(view.places))
    for distances, noise in view.differences:
        typical = _to_nearest(distances, count)
        middle = np.median(typical)
        usual = np.median(abs(typical - middle))
        scores += np.maximum(0, (typical - middle) / (noise + 3 * usual))
    # A piece of background differs from all objects: what may be none counts less.
    sure = 1.0 if view.chances is None else view.chances / np.median(view.chances)
    return _best(np.log1p(scores * sure), count)


def uniform(view: View, count: int) -> Choice:
    """The disc that holds the fewest colours."""
    spread = np.ones(len(view.places)) if view.spread is None else view.spread.astype(np.float64)
    return _best(-spread, count)


def pair(view: View, count: int) -> Choice:
    """As many as asked that are most alike: the least distance between the two of them that are least
    alike."""
    total = np.sum([distances / noise for distances, noise in view.differences], axis=0)
    ranked = sorted(
        (max(total[i, j] for i, j in combinations(group, 2)), group)
        for group in combinations(range(len(view.places)), count)
    )
    if not ranked:
        return Choice((), 0.0)
    apart, chosen = ranked[0]
    ahead = np.log1p(ranked[1][0]) - np.log1p(apart) if len(ranked) > 1 else 0.0
    return Choice(chosen, float(max(0.0, ahead - FAR * apart)))


def largest(view: View, count: int) -> Choice:
    """By area; the margin is the logarithm of how many times larger."""
    return _best(np.log(np.maximum(view.areas, 1).astype(np.float64)), count)


def smallest(view: View, count: int) -> Choice:
    """By area; the margin is the logarithm of how many times smaller."""
    return _best(-np.log(np.maximum(view.areas, 1).astype(np.float64)), count)


RULES: Mapping[Rule, Callable[[View, int], Choice]] = {
    Rule.ODD: odd,
    Rule.UNIFORM: uniform,
    Rule.PAIR: pair,
    Rule.LARGEST: largest,
    Rule.SMALLEST: smallest,
}


def _to_nearest(distances: NDArray[np.float32], rank: int) -> Floats:
    """(n,) the distance of each object to the nearest other, or to the second or third nearest."""
    others = distances[~np.eye(len(distances), dtype=bool)].reshape(len(distances), -1)
    return np.asarray(np.sort(others, axis=1)[:, rank - 1], np.float64)


def _best(scores: Floats, count: int) -> Choice:
    """The `count` highest, and their lead over the next."""
    if len(scores) <= count:
        return Choice((), 0.0)
    order = np.argsort(-scores, kind="stable")
    return Choice(
        tuple(int(i) for i in order[:count]), float(scores[order[count - 1]] - scores[order[count]])
    )
