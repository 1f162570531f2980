"""What was not read surely is looked at again, in one way for texts and sums."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.calibration import Calibration
from legible.errors import RecognitionFailed
from legible.images import Picture
from legible.recognizers.text.model import Floats, Network
from legible.recognizers.text.preprocess import further_views, preprocess
from legible.tasks import ArithmeticAnswer, TextAnswer

# Confidence from which on there is no further look, whatever the threshold; and that under which what is
# looked at again stays unsure: only what is quite another view may help.
SATISFIED, HOPELESS = 0.5, 0.1
# Confidence from which on one frame of an animation is taken for the whole text: others may have the rest.
ALONE = 0.8
# A frame whose levels deviate by less is of one colour.
PLAIN = 2.0

Further = Callable[[bool], Iterable[Floats]]
Read = TypeVar("Read")
Found = TypeVar("Found")
Told = TypeVar("Told", TextAnswer, ArithmeticAnswer)


def looks(network: Network, picture: Picture) -> tuple[Floats, Further]:
    """What the network sees of a picture at first, and what will be further looks."""

    def further(hopeless: bool) -> Iterable[Floats]:
        return map(network.run, further_views(picture, hopeless))

    return network.run(preprocess(picture)), further


def of_frames(picture: Picture, read: Callable[[Picture], Told]) -> Told:
    """What `read` makes of an animation as a whole or, where that is refused, of its first frame alone, if it
    is sure of that and the second says the same: the frames of a text that moves hide one another. Frames of
    one colour do not count."""
    if len(picture.frames) < 2:
        return read(picture)
    pairs = zip(picture.frames, picture.alphas, strict=True)
    shown = [pair for pair in pairs if any(_shows_something(each) for each in pair)]
    if len(shown) < 2:
        return read(Picture(*shown[0]) if shown else picture)
    try:
        return read(Picture(*shown[0], *zip(*shown, strict=True)))
    except RecognitionFailed as refusal:
        alone = read(Picture(*shown[0]))
        if alone.confidence < ALONE or read(Picture(*shown[1])).text != alone.text:
            raise refusal from None
        return alone


def _shows_something(levels: NDArray[np.uint8] | None) -> bool:
    return levels is not None and float(cv2.meanStdDev(levels)[1].max()) >= PLAIN


def no_further(hopeless: bool) -> Iterable[Floats]:
    """For a picture of which there is one view alone."""
    return ()


def until_sure(
    first: Floats,
    further: Further,
    read: Callable[[Floats], list[Read]],
    choose: Callable[[list[Read], int], tuple[Found, float] | None],
    calibrations: Sequence[Calibration],
) -> tuple[Found | None, float]:
    """What is found, and its confidence (0-1), in (T, C) likelihoods of a view, and while that is not sure,
    in those of `further` views too, one after the other, which are told whether it is hopeless.

    `read` makes readings of a view, `choose` the best of those of so many views, with its raw probability.
    `calibrations` are by the number of looks; the last is for more, too.
    """
    readings = read(first)
    found = choose(readings, 1)
    confidence = calibrations[0](found[1]) if found else 0.0
    if confidence < SATISFIED:
        for count, probs in enumerate(further(confidence < HOPELESS), 2):
            readings += read(probs)
            found = choose(readings, count)
            calibration = calibrations[min(count, len(calibrations)) - 1]
            confidence = calibration(found[1]) if found else 0.0
            if confidence >= SATISFIED:
                break
    return (found[0] if found else None), confidence
