"""Each image containing a bus, or something to eat, or what a sample shows: the grid's network knows its own
labels, ours all else."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.errors import RecognitionFailed
from legible.model_store import model_files
from legible.recognizers.click import names
from legible.recognizers.click.nouns import noun_of
from legible.recognizers.click.questions import Question
from legible.recognizers.click.together import Joint, likeness, together
from legible.recognizers.click.wordings import Rule
from legible.recognizers.grid.labels import LABELS
from legible.recognizers.grid.model import likelihoods
from legible.recognizers.grid.preprocess import tensor
from legible.tasks import ClickAnswer

Floats = NDArray[np.float32]

GRID_LABELS = {noun: label for label, names in LABELS.items() for name in names if (noun := noun_of(name))}
LARGEST = 512  # pixels a side; the networks look at 128
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


def choose_tiles(
    pictures: Sequence[NDArray[np.uint8]], question: Question, samples: Sequence[NDArray[np.uint8]]
) -> Joint:
    """Which (h, w, 3) pictures show what is asked for; `samples` are those that the question speaks of."""
    noun = question.target or ""
    if question.rule is Rule.NAMED_TILES and noun in GRID_LABELS and "grid" in model_files():
        told = np.concatenate([tensor(each[None]) for each in pictures])
        # Tiles of streets look alike whatever is in them.
        return together(likelihoods(told, GRID_LABELS[noun]))
    wanted = _wanted(question, samples)
    seen = names.see_well(pictures, wanted)
    how = names.worth(seen)
    alike = np.asarray(how.pull * (likeness(seen.looks) - how.apart), np.float32)
    return together(wanted(seen), alike, question.count)


def _wanted(question: Question, samples: Sequence[NDArray[np.uint8]]) -> names.Evidence:
    if question.attribute is not None:
        return names.of_attribute(question.attribute)
    if question.rule is Rule.ALIKE:
        return names.of_samples(names.see(samples))
    named = names.of_noun(question.target or "")
    return lambda seen: names.worth(seen).sharper * named(seen)


def decode_tiles(
    joint: Joint, label: str, size: tuple[int, int], threshold: float | None = None
) -> ClickAnswer:
    """From which pictures may fit to which do: with a `threshold`, those that are at least as sure. `size` is
    width and height of the first as it was sent.

    Raises `RecognitionFailed` without one, when they are too unsure.
    """
    chances = joint.each.round(4)  # as they are shown
    fits = joint.likeliest if threshold is None else chances >= threshold
    sure = joint.chance_of(fits)
    if threshold is None and sure < LEAST:
        raise RecognitionFailed(
            f"which pictures fit could not be told with enough confidence: "
            f"{sure:.4g}, under the threshold {LEAST}",
            confidence=sure,
            threshold=LEAST,
        )
    confidences = tuple(map(float, chances))
    return ClickAnswer(label, round(sure, 4), size, objects=tuple(map(bool, fits)), confidences=confidences)
