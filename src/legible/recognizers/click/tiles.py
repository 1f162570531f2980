"""Each image containing a bus: the grid's network knows its own labels, ours the other nouns."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.errors import RecognitionFailed
from legible.model_store import model_files
from legible.recognizers.click import names
from legible.recognizers.click.nouns import noun_of
from legible.recognizers.grid.labels import LABELS
from legible.recognizers.grid.model import likelihoods
from legible.recognizers.grid.preprocess import tensor
from legible.tasks import ClickAnswer

Floats = NDArray[np.float32]

GRID_LABELS = {noun: label for label, names in LABELS.items() for name in names if (noun := noun_of(name))}
LARGEST = 512  # pixels a side; the networks look at 128
# How often a picture shows what is asked for: about three in nine.
SHARE = 1 / 3
# Evidence was fitted picture by picture, seen once; sets of pictures turn out right more often than it says.
SHARPER = 1.5
# Without a threshold, the likeliest set of pictures is refused when it is less sure than this.
LEAST = 0.2


def tile_nouns() -> tuple[str, ...]:
    """What can be found in tiles by the networks that are here."""
    grid = GRID_LABELS if "grid" in model_files() else {}
    return tuple(dict.fromkeys((*grid, *names.known_in_tiles())))


def shrunk(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) with sides of at most `LARGEST` pixels: sixteen as sent may take half a gigabyte."""
    height, width = picture.shape[:2]
    size = (min(width, LARGEST), min(height, LARGEST))
    if size == (width, height):
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def name_tiles(
    pictures: Sequence[NDArray[np.uint8]],
    noun: str,
    label: str,
    size: tuple[int, int],
    threshold: float | None = None,
) -> ClickAnswer:
    """Which (h, w, 3) pictures show the thing; with a `threshold`, those that are at least as sure. `size` is
    width and height of each as it was sent.

    Raises `RecognitionFailed` without one, when the likeliest set is too unsure.
    """
    evidence = _evidence(pictures, noun)
    return decode_tiles(evidence, label, size, threshold)


def _evidence(pictures: Sequence[NDArray[np.uint8]], noun: str) -> Floats:
    if noun not in GRID_LABELS:
        return np.float32(SHARPER) * names.likelihoods(pictures, noun)
    together = np.concatenate([tensor(each[None]) for each in pictures])
    return likelihoods(together, GRID_LABELS[noun])


def decode_tiles(
    evidence: Floats, label: str, size: tuple[int, int], threshold: float | None = None
) -> ClickAnswer:
    """From (n,) log likelihood ratios to which pictures fit."""
    odds = np.exp(np.clip(evidence.astype(np.float64), -30, 30)) * SHARE / (1 - SHARE)
    chances = odds / (1 + odds)
    chances = chances.round(4)  # as they are shown
    fits = chances >= (0.5 if threshold is None else threshold)
    sure = float(np.prod(np.where(fits, chances, 1 - chances)))
    if threshold is None and sure < LEAST:
        raise RecognitionFailed(
            f"which pictures fit could not be told with enough confidence: "
            f"{sure:.2f}, under the threshold {LEAST}",
            confidence=sure,
            threshold=LEAST,
        )
    confidences = tuple(map(float, chances))
    return ClickAnswer(label, round(sure, 4), size, objects=tuple(map(bool, fits)), confidences=confidences)
