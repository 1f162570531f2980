"""From frames to characters, within what the caller knows."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from legible.calibration import Calibration
from legible.errors import RecognitionFailed
from legible.recognizers.text.decode import (
    ALPHANUMERIC,
    Reading,
    allowed,
    beam_search,
    candidates,
    decode,
    greedy,
    likeliest,
    restrict,
    usual,
    usually_short,
)
from legible.recognizers.text.model import Network
from legible.tasks import TextAnswer, TextOptions

BLANK = len(ALPHANUMERIC)


def frames(text: str, sure: float = 0.95, charset: str = ALPHANUMERIC) -> NDArray[np.float32]:
    """Probabilities that show each character for two frames, with a blank between."""
    rows = []
    for char in text:
        for symbol in (charset.index(char), charset.index(char), len(charset)):
            row = np.full(len(charset) + 1, (1 - sure) / len(charset))
            row[symbol] = sure
            rows.append(row)
    return np.array(rows or [np.full(len(charset) + 1, 1 / (len(charset) + 1))], np.float32)


def network(threshold: float = 0.0) -> Network:
    calibration = Calibration(threshold=threshold)
    return Network(None, ALPHANUMERIC, (calibration,), (calibration,))  # type: ignore[arg-type]


@given(st.text(alphabet=ALPHANUMERIC, min_size=1, max_size=10))
def test_what_the_frames_show_is_read(text: str) -> None:
    reading = greedy(frames(text), ALPHANUMERIC)
    assert reading.text == text
    assert 0 < reading.probability <= 1


@settings(deadline=None, max_examples=30)
@given(st.text(alphabet=ALPHANUMERIC, min_size=3, max_size=6), st.integers(0, 40), st.integers(0, 40))
def test_each_character_is_as_sure_as_the_frames_that_show_it(text: str, before: int, after: int) -> None:
    """Wherever in the picture the text stands."""
    blank = np.full((1, BLANK + 1), 0.001, np.float32)
    blank[0, BLANK] = 0.94
    shown = np.concatenate([np.repeat(blank, before, 0), frames(text), np.repeat(blank, after, 0)])
    answer = decode(shown, network(), TextOptions())
    assert answer.text == text
    assert all(0.9 < character.confidence <= 1 for character in answer.characters)


@settings(deadline=None, max_examples=30)
@given(st.text(alphabet=ALPHANUMERIC, min_size=1, max_size=6))
def test_the_beam_agrees_with_the_best_path_when_that_is_sure(text: str) -> None:
    assert beam_search(frames(text), ALPHANUMERIC, 1, 12)[0].text == text


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.integers(0, 4),
    st.sampled_from(["digits", "letters", "lower", "upper", "abc123"]),
    st.sampled_from(["keep", "lower", "upper"]),
)
def test_every_answer_keeps_to_charset_length_and_case(
    seed: int, shortest: int, more: int, charset: str, case: str
) -> None:
    noise = np.random.default_rng(seed).normal(0, 3, (40, BLANK + 1)).astype(np.float32)
    probs = np.exp(noise) / np.exp(noise).sum(1, keepdims=True)
    options = TextOptions(charset, shortest, shortest + more, case)  # type: ignore[arg-type]
    answer = decode(probs, network(), options)
    assert shortest <= len(answer.text) <= shortest + more
    assert set(answer.text) <= set(allowed(options))
    assert "".join(c.text for c in answer.characters) == answer.text
    assert all(0 <= c.confidence <= 1 for c in answer.characters)
    assert 0 <= answer.confidence <= 1
    if case != "keep":
        assert answer.text == (answer.text.lower() if case == "lower" else answer.text.upper())


def test_a_letter_whose_case_is_not_allowed_counts_for_its_twin() -> None:
    answer = decode(frames("aBc"), network(), TextOptions(charset="upper"))
    assert answer.text == "ABC"


def test_digits_only_turns_a_doubt_into_a_digit() -> None:
    doubt = frames("O1")
    doubt[:2, ALPHANUMERIC.index("0")] = 0.04
    assert decode(doubt, network(), TextOptions(charset="digits")).text == "01"


def test_letters_are_no_digits_whatever_the_caller_knows() -> None:
    with pytest.raises(RecognitionFailed):
        decode(frames("ABCD", 0.99), network(0.3), TextOptions(charset="digits"))
    doubtful = frames("1l2B", 0.5)
    doubtful[3:5, ALPHANUMERIC.index("1")] = doubtful[9:11, ALPHANUMERIC.index("8")] = 0.2
    assert decode(doubtful, network(), TextOptions(charset="digits")).text == "1128"


def test_a_longer_text_is_found_when_the_caller_knows_its_length() -> None:
    doubt = frames("ab")
    doubt[4] = 0.4 * np.eye(BLANK + 1)[ALPHANUMERIC.index("b")] + 0.6 * np.eye(BLANK + 1)[BLANK] + 1e-6
    probs = np.concatenate([doubt, doubt[-1:], frames("c", 0.3)])
    assert len(candidates(probs, ALPHANUMERIC, 4, 4)[0].text) == 4


def test_under_the_threshold_nothing_is_answered() -> None:
    with pytest.raises(RecognitionFailed) as refusal:
        decode(frames("abc", 0.6), network(threshold=0.9), TextOptions())
    assert refusal.value.confidence is not None
    assert refusal.value.confidence < 0.9
    assert decode(frames("abc", 0.6), network(threshold=0.9), TextOptions(), threshold=0.0).text == "abc"


def test_one_or_two_characters_are_answered_where_they_are_expected() -> None:
    with pytest.raises(RecognitionFailed):
        decode(frames("ab"), network(threshold=0.3), TextOptions())
    assert decode(frames("ab"), network(threshold=0.3), TextOptions(max_length=2)).text == "ab"
    assert decode(frames("abc"), network(threshold=0.3), TextOptions()).text == "abc"


def test_a_short_text_is_doubtful_and_still_itself() -> None:
    readings = [Reading("yc", 0.6), Reading("Jyc", 0.14)]
    assert likeliest(readings, 1) == ("yc", pytest.approx(0.06))
    assert usually_short(readings, 1) == ("yc", 0.6)
    assert likeliest([Reading("yc", 0.02), Reading("Jyc", 0.14)], 1) == ("Jyc", 0.14)


def test_an_empty_picture_is_refused() -> None:
    nothing = np.full((20, BLANK + 1), 1e-6, np.float32)
    nothing[:, BLANK] = 1 - 62e-6
    with pytest.raises(RecognitionFailed):
        decode(nothing, network(), TextOptions())


def test_restricting_leaves_probabilities() -> None:
    restricted = restrict(frames("aZ9"), ALPHANUMERIC, "0123456789")
    assert restricted.shape[1] == 11
    allowed = [2, 5, 6, 7, 8]
    np.testing.assert_allclose(restricted[allowed].sum(1), 1, rtol=1e-4)
    # What a frame shows is a letter: that it is a digit is not sure all the same.
    assert (np.delete(restricted, allowed, 0).sum(1) < 0.2).all()


def test_the_cases_of_one_text_count_together() -> None:
    found = usual([Reading("abx", 0.4), Reading("Aby", 0.3), Reading("aby", 0.25)])
    assert [reading.text for reading in found] == ["aby", "abx"]
    assert found[0].probability == pytest.approx(0.55)


def test_between_readings_that_are_alike_the_usual_length_wins() -> None:
    found = usual([Reading("ab", 0.3), Reading("abcd", 0.25)])
    assert found[0].text == "abcd"


def test_what_is_unsure_is_looked_at_again_and_what_is_sure_is_not() -> None:
    asked: list[bool] = []

    def read(first: float, *more: float) -> TextAnswer:
        def further(hopeless: bool) -> Iterator[NDArray[np.float32]]:
            for each in more:
                asked.append(hopeless)
                yield frames("abc", each)

        return decode(frames("abc", first), network(threshold=0.3), TextOptions(), further=further)

    assert read(0.95, 0.95).text == "abc"
    assert asked == []
    with pytest.raises(RecognitionFailed) as alone:
        read(0.85)
    answer = read(0.85, 0.98, 0.95)
    assert answer.text == "abc"
    assert alone.value.confidence is not None
    assert answer.confidence > 0.3 > alone.value.confidence
    assert asked == [False], "what is sure by then is not looked at a third time"
    with pytest.raises(RecognitionFailed):
        read(0.4, 0.4)
    assert asked == [False, True], "what is hopeless says so"


def test_the_looks_of_one_picture_are_weighed_alike() -> None:
    found = usual([Reading("abcd", 0.6), Reading("abce", 0.3), Reading("abce", 0.5)], looks=2)
    assert [(each.text, pytest.approx(each.probability)) for each in found] == [("abce", 0.4), ("abcd", 0.3)]


def test_characters_are_as_sure_as_in_the_look_that_shows_them() -> None:
    nothing = np.zeros((40, len(ALPHANUMERIC) + 1), np.float32)
    nothing[:, -1] = 1.0
    calibration = Calibration(right=(0.0, 0.4))
    net = Network(None, ALPHANUMERIC, (calibration,), (calibration,))  # type: ignore[arg-type]
    answer = decode(frames("abcd", 0.9), net, TextOptions(), 0.0, lambda hopeless: iter([nothing]))
    assert answer.text == "abcd"
    assert all(character.confidence > 0.8 for character in answer.characters)
