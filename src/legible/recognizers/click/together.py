"""Pictures of one thing each, decided together: those that are alike fit alike, and some fit, but not all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legible.recognizers.subsets import place_of, posterior, sets

Floats = NDArray[np.float32]

# How often none of the pictures fit, or all of them, one, and more than a usual share of them, beside the
# numbers that are usual. Of fewer than `FEW` any number may fit.
NONE, ONE, MORE, MOST, FEW = 0.003, 0.1, 0.05, 0.6, 4
# How much of what all pictures have in common is no likeness.
COMMON = 0.5


@dataclass(frozen=True, slots=True)
class Joint:
    """`chances` (2^n,) 0-1: how likely each set of the n pictures is that which fits, in the order of
    `subsets.sets`."""

    chances: NDArray[np.float64]

    @property
    def each(self) -> NDArray[np.float64]:
        """(n,) 0-1: how likely each picture fits."""
        every = sets(len(self.chances).bit_length() - 1)
        return np.asarray(self.chances @ every)

    @property
    def likeliest(self) -> NDArray[np.bool_]:
        """(n,) which fit in the likeliest set."""
        every = sets(len(self.chances).bit_length() - 1)
        return np.asarray(every[self.chances.argmax()] > 0)

    def chance_of(self, fits: NDArray[np.bool_]) -> float:
        """How likely just these fit."""
        return float(self.chances[place_of(np.flatnonzero(fits))])


def together(evidence: Floats, alike: Floats | None = None, count: int | None = None) -> Joint:
    """From (n,) log likelihood ratios of fitting, and (n, n) by how much likelier two pictures fit both or
    neither (its logarithm). `count` is how many fit, where that is known. n is at most 16."""
    return Joint(posterior(evidence, usual(len(evidence), count), alike))


def likeness(looks: Floats) -> Floats:
    """(n, F) -> (n, n) -1..1: the cosine of what is seen, less of what is common to all."""
    own = looks - COMMON * looks.mean(0)
    own /= np.linalg.norm(own, axis=1, keepdims=True) + 1e-6
    return np.asarray(own @ own.T, np.float32)


def usual(number: int, count: int | None) -> NDArray[np.float64]:
    """(number + 1,) how usual it is that so many fit."""
    share = np.ones(number + 1)
    if count is not None:
        share[:] = np.arange(number + 1) == min(count, number)
    elif number >= FEW:
        share[1], share[int(MOST * number) + 1 :] = ONE, MORE
        share[0] = share[number] = NONE
    return share
