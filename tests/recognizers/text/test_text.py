"""The shipped weights read a few pictures that our own generator drew."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from legible.calibration import THRESHOLD
from legible.errors import InvalidImage, RecognitionFailed
from legible.recognizers import arithmetic, text
from legible.recognizers.text.model import network
from legible.tasks import ArithmeticAnswer, ArithmeticOptions, Kind, Task, TextOptions

SAMPLES = Path(__file__).parent.parent / "samples"


def labelled(kind: str) -> list[list[str]]:
    return [line.split("\t") for line in (SAMPLES / kind / "labels.tsv").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(("file", "label"), labelled("text"))
def test_a_text_is_read_with_case(file: str, label: str) -> None:
    answer = text.recognize(Task(Kind.TEXT, ((SAMPLES / "text" / file).read_bytes(),), TextOptions()))
    assert answer.text == label
    assert "".join(c.text for c in answer.characters) == label


@pytest.mark.parametrize(("file", "label", "value"), labelled("arithmetic"))
def test_a_sum_is_read_and_worked_out(file: str, label: str, value: str) -> None:
    image = (SAMPLES / "arithmetic" / file).read_bytes()
    answer: ArithmeticAnswer = arithmetic.recognize(Task(Kind.ARITHMETIC, (image,), ArithmeticOptions()))
    assert answer.text == value


def test_what_the_caller_knows_is_kept_to() -> None:
    file, label = labelled("text")[0]
    image = (SAMPLES / "text" / file).read_bytes()
    assert text.recognize(Task(Kind.TEXT, (image,), TextOptions(charset="lower"))).text == label.lower()
    assert text.recognize(Task(Kind.TEXT, (image,), TextOptions(case="upper"))).text == label.upper()
    with pytest.raises(RecognitionFailed):
        text.recognize(Task(Kind.TEXT, (image,), TextOptions(charset="digits")))


def test_texts_and_sums_are_answered_from_the_threshold_on_that_is_told() -> None:
    net = network()
    assert {each.threshold for each in (*net.texts, *net.sums)} == {THRESHOLD}


def test_a_picture_without_text_is_refused() -> None:
    data = BytesIO()
    Image.new("RGB", (120, 40), "white").save(data, "PNG")
    with pytest.raises(RecognitionFailed):
        text.recognize(Task(Kind.TEXT, (data.getvalue(),), TextOptions()))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("colour", ["white", "black"])
def test_a_frame_of_one_colour_hides_no_text(form: str, place: int, colour: str) -> None:
    file, label = labelled("text")[0]
    frames = [Image.open(SAMPLES / "text" / file).convert("RGB")]
    frames.insert(place, Image.new("RGB", frames[0].size, colour))
    assert read_frames(frames, form) == label


def test_a_text_that_moves_is_read_from_its_first_frame() -> None:
    file, label = labelled("text")[0]
    frame = Image.open(SAMPLES / "text" / file).convert("RGB")
    ground = frame.getpixel((0, 0))
    places = [(frame.width // 2, 0), (0, 0), (frame.width // 3, 0)]
    frames = [Image.new("RGB", (frame.width * 3 // 2, frame.height), ground) for _ in places]
    for wide, place in zip(frames, places, strict=True):
        wide.paste(frame, place)
    assert read_frames(frames, "PNG") == label


def test_a_text_of_which_each_frame_shows_a_part_is_not_read_from_one() -> None:
    file, _ = labelled("text")[0]
    frame = Image.open(SAMPLES / "text" / file).convert("RGB")
    moved = [ImageChops.offset(frame, shift, 0) for shift in (0, frame.width // 2, frame.width // 3)]
    for each, part in zip(moved, (0.75, 0, 0.4), strict=True):
        left = int(part * frame.width)
        each.paste(frame.getpixel((0, 0)), (left, 0, left + frame.width // 4, frame.height))
    with pytest.raises(RecognitionFailed):
        read_frames(moved, "PNG")


def read_frames(frames: list[Image.Image], form: str) -> str:
    data = BytesIO()
    more = {"lossless": True} if form == "WEBP" else {}
    frames[0].save(data, form, save_all=True, append_images=frames[1:], duration=100, **more)
    return text.recognize(Task(Kind.TEXT, (data.getvalue(),), TextOptions())).text


def test_what_is_no_picture_is_refused_as_such() -> None:
    with pytest.raises(InvalidImage):
        text.recognize(Task(Kind.TEXT, (b"not a picture",), TextOptions()))
