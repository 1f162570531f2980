"""From frames to the sum that they most likely show."""

import numpy as np
import pytest
from numpy.typing import NDArray

from legible.calibration import Calibration
from legible.errors import RecognitionFailed
from legible.recognizers.arithmetic.decode import CHARS, decode
from legible.recognizers.text.model import Network

NETWORK = Network(None, CHARS, (Calibration(),), (Calibration(),))  # type: ignore[arg-type]


def frames(text: str, sure: float = 0.999) -> NDArray[np.float32]:
    """Probabilities that show each character for two frames, with a blank between."""
    rows = []
    for char in text:
        for symbol in (CHARS.index(char), CHARS.index(char), len(CHARS)):
            row = np.full(len(CHARS) + 1, (1 - sure) / len(CHARS))
            row[symbol] = sure
            rows.append(row)
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("text", "expression", "value"),
    [
        ("3+5=?", "3+5", "8"),
        ("9-12=", "9-12", "-3"),
        ("7x8", "7*8", "56"),
        ("八加四=?", "8+4", "12"),
        ("8÷2=?", "8/2", "4"),
    ],
)
def test_a_sum_is_read_and_worked_out(text: str, expression: str, value: str) -> None:
    answer = decode(frames(text), NETWORK)
    assert (answer.expression, answer.text) == (expression, value)


@pytest.mark.parametrize("text", ["7/2=?", "5÷0=?", "3+=?", "+4=?", "12"])
def test_what_cannot_be_answered_is_refused(text: str) -> None:
    with pytest.raises(RecognitionFailed):
        decode(frames(text), NETWORK, threshold=0.5)


@pytest.mark.parametrize("text", ["3+5-8", "3+5一8", "3加5-8", "1+2+3-6"])
def test_a_stroke_before_a_last_number_may_be_an_equals_sign(text: str) -> None:
    with pytest.raises(RecognitionFailed):
        decode(frames(text), NETWORK, threshold=0.0)


@pytest.mark.parametrize(("text", "value"), [("3+5-8=", "0"), ("三加五减八", "0"), ("9-4", "5")])
def test_a_sign_that_can_be_nothing_else_is_believed(text: str, value: str) -> None:
    assert decode(frames(text), NETWORK).text == value


def test_a_sign_that_is_nearly_lost_is_found_since_a_sum_needs_one() -> None:
    doubt = frames("3+5=")
    plus = CHARS.index("+")
    doubt[3:5, -1], doubt[3:5, plus] = 0.6, 0.39
    assert decode(doubt, NETWORK, threshold=0.0).expression == "3+5"


def test_a_sum_that_is_unsure_is_looked_at_again() -> None:
    calibration = Calibration(threshold=0.5)
    network = Network(None, CHARS, (calibration,), (calibration,))  # type: ignore[arg-type]
    doubt, seen = frames("3+5=", 0.9), iter([frames("3+5="), frames("7+5=")])
    with pytest.raises(RecognitionFailed):
        decode(doubt, network)
    assert decode(doubt, network, further=lambda hopeless: seen).text == "8"
    assert len(list(seen)) == 1, "the second look was sure, and the third is not asked for"


def test_a_number_over_99_must_be_sure() -> None:
    with pytest.raises(RecognitionFailed):
        decode(frames("3+104=", 0.98), NETWORK, threshold=0.3)
    assert decode(frames("3+10=", 0.98), NETWORK, threshold=0.3).text == "13"
    assert decode(frames("3+104="), NETWORK, threshold=0.3).text == "107"


def test_one_number_in_digits_and_the_other_in_chinese_is_never_read() -> None:
    doubt = frames("二加六=?")
    doubt[:2, CHARS.index("8")], doubt[:2, CHARS.index("二")] = 0.8, 0.19
    assert decode(doubt, NETWORK, threshold=0.0).expression == "2+6"


def test_between_readings_that_are_alike_the_one_that_asks_something_wins() -> None:
    doubt = frames("7+32")
    doubt[10] = doubt[11]
    doubt[9, CHARS.index("2")], doubt[9, CHARS.index("=")] = 0.55, 0.4
    assert decode(doubt, NETWORK, threshold=0.0).expression == "7+3"


def test_between_readings_that_are_alike_the_smaller_numbers_win() -> None:
    doubt = frames("7x333=")
    doubt[12:14, CHARS.index("3")], doubt[12:14, -1] = 0.55, 0.4
    assert decode(doubt, NETWORK, threshold=0.0).expression == "7*33"
