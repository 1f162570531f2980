"""What was not read surely is looked at again, in one way for texts and sums."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from legible.calibration import Calibration
from legible.images import Picture
from legible.recognizers.text.model import Floats, Network
from legible.recognizers.text.preprocess import further_views, preprocess

# Confidence from which on there is no further look, whatever the threshold; and that under which what is
# looked at again stays unsure: only what is quite another view may help.
SATISFIED, HOPELESS = 0.5, 0.1

Further = Callable[[bool], Iterable[Floats]]
Read = TypeVar("Read")
Found = TypeVar("Found")


def looks(network: Network, picture: Picture) -> tuple[Floats, Further]:
    """What the network sees of a picture at first, and what will be further looks."""

    def further(hopeless: bool) -> Iterable[Floats]:
        return map(network.run, further_views(picture, hopeless))

    return network.run(preprocess(picture)), further


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
