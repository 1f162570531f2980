"""Each image containing a bus: the grid recognizer's network says which pictures show a thing that it
knows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from legible.errors import RecognitionFailed
from legible.model_store import model_files
from legible.recognizers.grid.labels import LABELS
from legible.recognizers.grid.model import likelihoods
from legible.recognizers.grid.preprocess import tensor
from legible.tasks import ClickAnswer

Floats = NDArray[np.float32]

NAMES = {name: label for label, names in LABELS.items() for name in names}
# How often a picture shows what is asked for: about three in nine.
SHARE = 1 / 3
# Without a threshold, the likeliest set of pictures is refused when it is less sure than this.
LEAST = 0.2


def nameable(noun: str | None) -> bool:
    """Whether the network that is here knows this thing."""
    return noun in NAMES and "grid" in model_files()


def name_tiles(
    pictures: Sequence[NDArray[np.uint8]], noun: str, label: str, threshold: float | None = None
) -> ClickAnswer:
    """Which (h, w, 3) pictures show the thing; with a `threshold`, those that are at least as sure.

    Raises `RecognitionFailed` without one, when the likeliest set is too unsure.
    """
    evidence = np.concatenate([likelihoods(tensor(picture[None]), NAMES[noun]) for picture in pictures])
    return decode_tiles(evidence, label, pictures[0].shape[1::-1], threshold)


def decode_tiles(
    evidence: Floats, label: str, size: tuple[int, ...], threshold: float | None = None
) -> ClickAnswer:
    """From (n,) log likelihood ratios to which pictures fit."""
    odds = np.exp(np.clip(evidence.astype(np.float64), -30, 30)) * SHARE / (1 - SHARE)
    chances = odds / (1 + odds)
    sure = float(np.prod(np.maximum(chances, 1 - chances)))
    if threshold is None and sure < LEAST:
        raise RecognitionFailed(
            f"which pictures fit could not be told with enough confidence: "
            f"{sure:.2f}, under the threshold {LEAST}",
            confidence=sure,
            threshold=LEAST,
        )
    fits = tuple(bool(chance >= (0.5 if threshold is None else threshold)) for chance in chances)
    confidences = tuple(round(float(chance), 4) for chance in chances)
    return ClickAnswer(label, round(sure, 4), (size[0], size[1]), objects=fits, confidences=confidences)
