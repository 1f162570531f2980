"""From probabilities a frame to the sum that they most likely show, and its value."""

import numpy as np
from numpy.typing import NDArray

from legible.errors import RecognitionFailed
from legible.recognizers.arithmetic.expression import NotASum, NoWholeAnswer, Sum, parse
from legible.recognizers.text.decode import candidates, restrict
from legible.recognizers.text.model import Network
from legible.tasks import ArithmeticAnswer

Floats = NDArray[np.float32]

CHARS = "0123456789+-*/÷x=?加减乘除上去以等于几是多少零一二三四五六七八九十"


def decode(probs: Floats, network: Network, threshold: float | None = None) -> ArithmeticAnswer:
    """The likeliest sum of (T, C) probabilities; raises `RecognitionFailed` if there is none, or under
    the threshold."""
    limit = network.arithmetic.threshold if threshold is None else threshold
    found = find_sum(restrict(probs, network.charset, CHARS))
    if found is None:
        raise RecognitionFailed(
            "no sum with a whole number as its answer was found in the picture", threshold=limit
        )
    asked, probability = found
    confidence = network.arithmetic(probability)
    if confidence < limit:
        raise RecognitionFailed(
            f"the sum was read with confidence {confidence:.2f}, under the threshold {limit:.2f}",
            confidence=confidence,
            threshold=limit,
        )
    return ArithmeticAnswer(str(asked.value), asked.expression, round(confidence, 4))


def find_sum(probs: Floats) -> tuple[Sum, float] | None:
    """The likeliest reading that is a sum: the best path nearly always, else the first of the beam."""
    for count in (1, 12):
        for reading in candidates(probs, CHARS, count=count):
            try:
                return parse(reading.text), reading.probability
            except NoWholeAnswer:
                # It was understood: a less likely reading that happens to have an answer would be a guess.
                return None
            except NotASum:
                continue
    return None
