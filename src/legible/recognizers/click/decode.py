"""From a choice to the answer: the point in pixels of the picture, how sure it is, and a refusal where it
is not."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from legible.calibration import THRESHOLD
from legible.errors import RecognitionFailed
from legible.recognizers.click.model import Floats, View
from legible.recognizers.click.preprocess import Canvas
from legible.recognizers.click.rules import RULES, Choice
from legible.recognizers.click.wordings import Rule
from legible.tasks import ClickAnswer

# A fit to some hundred scenes cannot promise more. Fitted to scenes that have an answer, it says too much of
# those that have none, 0.6 of discs that are all alike: so where objects are compared, an answer needs more.
SUREST, COMPARED = 0.99, 0.7


@dataclass(frozen=True, slots=True)
class Calibration:
    """The probability that a choice is right, by its margin: a logistic fit."""

    slope: float
    offset: float

    def __call__(self, margin: float) -> float:
        return min(SUREST, 1 / (1 + math.exp(-(self.slope * margin + self.offset))))


# Fitted on drawn scenes as by `python -m training.click.calibrate --fit`, on 90 to 214 each of seed 15 where
# nothing else is said; two are set by hand, on the careful side. See docs/models/click.md.
CALIBRATIONS: Mapping[tuple[Rule, str], Calibration] = {
    (Rule.ODD, "discs"): Calibration(6.66, -0.87),  # 240 scenes of seed 25
    (Rule.ODD, "things"): Calibration(4.41, -0.56),  # 600 scenes of seeds 401 and 501
    (Rule.UNIFORM, "discs"): Calibration(20.0, -2.0),  # by hand
    (Rule.PAIR, "discs"): Calibration(3.93, -2.61),  # by hand
    # 359 scenes of the same seeds, and, at a twentieth of the weight, as many without one of the two.
    (Rule.PAIR, "things"): Calibration(10.47, 0.48),
    (Rule.LARGEST, "things"): Calibration(13.16, -1.53),
    (Rule.SMALLEST, "things"): Calibration(8.15, -1.28),
    (Rule.NAMED_POINT, "things"): Calibration(1.21, -0.20),  # 1,023 of seed 701, --named
    (Rule.ATTRIBUTE, "things"): Calibration(1.58, 0.56),  # 291 of them
}
FEWEST_OBJECTS = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a canvas: what was seen, what the rule chose of it, and how sure that is (0-1)."""

    view: View
    choice: Choice
    confidence: float


def read(view: View, rule: Rule, count: int) -> Reading:
    """What the rule makes of a view; its confidence is 0 for one with too few objects to choose among."""
    if len(view.places) < max(FEWEST_OBJECTS, count + 1):
        return rated(view, Choice((), 0.0), rule)
    return rated(view, RULES[rule](view, count), rule)


def rated(view: View, choice: Choice, rule: Rule) -> Reading:
    """A choice with how sure it is: not at all when it is empty, or made in a way that was never measured."""
    calibration = CALIBRATIONS.get((rule, view.kind))
    if calibration is None or not choice.objects:
        return Reading(view, Choice((), 0.0), 0.0)
    return Reading(view, choice, calibration(choice.margin))


def least(rule: Rule) -> float:
    """The confidence under which a rule refuses, when the request says nothing else."""
    return THRESHOLD if rule in (Rule.NAMED_POINT, Rule.ATTRIBUTE) else COMPARED


def decode(
    reading: Reading, rule: Rule, canvas: Canvas, label: str, threshold: float | None = None
) -> ClickAnswer:
    """The point to click, counted from the top left; raises `RecognitionFailed` under the threshold.

    `points` has all of them where several objects were chosen; `point` is the first.
    """
    limit = least(rule) if threshold is None else threshold
    confidence = round(reading.confidence, 4)
    if not reading.choice.objects:
        found = f"{len(reading.view.places)} objects were found in the picture"
        is_known = (rule, reading.view.kind) in CALIBRATIONS
        raise RecognitionFailed(
            f"{found}, too few to choose {rule}"
            if is_known
            else f"{found}; how well {rule} can be told among such objects is not known",
            confidence=0.0,
            threshold=limit,
        )
    if confidence < limit:
        raise RecognitionFailed(
            f"{rule} could not be told with enough confidence: "
            f"{confidence:.4g}, under the threshold {limit:.4g}",
            confidence=confidence,
            threshold=limit,
        )
    places = canvas.in_picture(reading.view.places[list(reading.choice.objects)])
    points = tuple(_point(place, canvas.size) for place in places)
    return ClickAnswer(label, confidence, canvas.size, points[0], points=points)


def _point(place: Floats, size: tuple[int, int]) -> tuple[int, int]:
    across, down = (min(max(int(v), 0), side - 1) for v, side in zip(place[:2], size, strict=True))
    return across, down
