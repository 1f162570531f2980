"""From evidence to the answer: which set of tiles, how sure each of them is, and a refusal where the set is a
guess."""

import numpy as np
from numpy.typing import NDArray

from legible.errors import RecognitionFailed
from legible.recognizers.grid.preprocess import SCENE
from legible.recognizers.subsets import place_of, posterior, sets
from legible.tasks import GridAnswer

Floats = NDArray[np.float32]

# How often a 3x3 challenge has 0, 1, ... 9 right tiles: three or four as a rule; fewer once right tiles were
# replaced.
COUNTS = (0.015, 0.03, 0.08, 0.44, 0.33, 0.07, 0.02, 0.007, 0.005, 0.003)
# The share of a scene's cells that an object touches, on average.
TOUCHED = 0.3
PLACES = 4  # of a confidence in the answer; what is shown as 0.5 is in at a threshold of 0.5
# The likeliest set is refused when it is less sure than this: a guess that costs money helps nobody.
LEAST = {1: 0.55, 9: 0.2, 16: 0.35}


def decode(
    evidence: Floats, label: str, size: int, threshold: float | None = None, top: int | None = None
) -> GridAnswer:
    """The answer from (N,) log likelihood ratios, N = 1, 9 or 16; `size` is that of the picture in pixels.

    Without `threshold` and `top` it is the likeliest set, and `RecognitionFailed` is raised when that is too
    unsure. One tile has no best one: there `top` says nothing.
    """
    count = len(evidence)
    scene = count == SCENE * SCENE
    probabilities, likeliest = _each_alone(evidence, TOUCHED) if scene else _together(evidence)
    if top is not None and count > 1:
        chosen = np.sort(np.argsort(-probabilities, kind="stable")[:top])
    elif threshold is not None:
        chosen = np.flatnonzero(probabilities.round(PLACES) >= threshold)
    else:
        chosen = np.flatnonzero(likeliest)
    sure = _overlap(probabilities, chosen) if scene else _probability(evidence, chosen)
    if top is None and threshold is None and sure < LEAST[count]:
        raise RecognitionFailed(
            f"the likeliest tiles have confidence {sure:.4g}, under the threshold {LEAST[count]:.4g}; "
            "send confidence or top to have an answer all the same",
            confidence=sure,
            threshold=LEAST[count],
        )
    confidences = tuple(round(float(p), PLACES) for p in probabilities)
    return GridAnswer(label, size, confidences, tuple(int(i) for i in chosen), round(sure, 4))


def _chances(evidence: Floats) -> NDArray[np.float64]:
    """(2^N,) how likely each set of the tiles is."""
    return posterior(evidence, np.array(COUNTS if len(evidence) > 1 else (0.5, 0.5)))


def _together(evidence: Floats) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each tile's probability, all counts of right tiles weighed, and the likeliest set."""
    every, chances = sets(len(evidence)), _chances(evidence)
    return chances @ every, every[chances.argmax()] > 0


def _each_alone(evidence: Floats, share: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Each cell's probability, and as many of the surest cells as should overlap best with the right ones."""
    odds = np.exp(np.clip(evidence.astype(np.float64), -30, 30)) * share / (1 - share)
    probabilities = odds / (1 + odds)
    order = np.argsort(-probabilities, kind="stable")
    overlaps = [_overlap(probabilities, order[:count]) for count in range(len(order) + 1)]
    best = np.zeros(len(order), bool)
    best[order[: int(np.argmax(overlaps))]] = True
    return probabilities, best


def _probability(evidence: Floats, chosen: NDArray[np.intp]) -> float:
    """That these tiles and no others are the right ones."""
    return float(_chances(evidence)[place_of(chosen)])


def _overlap(probabilities: NDArray[np.float64], chosen: NDArray[np.intp]) -> float:
    """About how much of the right cells and the chosen ones together is in both (Jaccard)."""
    inside = float(probabilities[chosen].sum())
    outside = float(probabilities.sum()) - inside
    if not len(chosen):
        return float(np.prod(1 - probabilities))
    return inside / (len(chosen) + outside)
