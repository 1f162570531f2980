"""Recognizers of all kinds that always say the same, so that every page can be seen with every answer."""

from collections.abc import Mapping

from legible.errors import RecognitionFailed
from legible.images import decode
from legible.recognizers import Recognizer
from legible.tasks import (
    Answer,
    ArithmeticAnswer,
    Candidate,
    Character,
    ClickAnswer,
    GridAnswer,
    Kind,
    SliderAnswer,
    Task,
    TextAnswer,
)

HOSTILE = "=1+<b>x</b>"
UNREADABLE_SIZE = (61, 31)  # a picture of this size cannot be read


def text(task: Task) -> Answer:
    height, width = decode(task.images[0]).rgb.shape[:2]
    if (width, height) == UNREADABLE_SIZE:
        raise RecognitionFailed("the text was read with confidence 0.31, under the threshold 0.9")
    return TextAnswer(HOSTILE, 0.97, tuple(Character(each, 0.9) for each in HOSTILE))


def arithmetic(task: Task) -> Answer:
    return ArithmeticAnswer("8", "3+5", 0.98)


def slider(task: Task) -> Answer:
    return SliderAnswer((120, 40, 45, 45), 0.93, 5, (Candidate(120, 0.93), Candidate(200, 0.2)))


def grid(task: Task) -> Answer:
    confidences = (0.01, 0.02, 0.99, 0.1, 0.03, 0.97, 0.02, 0.88, 0.01)
    return GridAnswer("/m/01pns0", 300, confidences, (2, 5, 7), 0.9)


def click(task: Task) -> Answer:
    if len(task.images) > 1:
        fits = tuple(place % 2 == 1 for place in range(len(task.images)))
        return ClickAnswer("cats", 0.8, (60, 60), objects=fits, confidences=(0.8,) * len(fits))
    return ClickAnswer("the odd one", 0.8, (400, 430), (120, 90))


RECOGNIZERS: Mapping[Kind, Recognizer] = {
    Kind.TEXT: text,
    Kind.ARITHMETIC: arithmetic,
    Kind.SLIDER: slider,
    Kind.GRID: grid,
    Kind.CLICK: click,
}
