"""The click recognizer: points on drawn scenes, what is refused, and how sure an answer is."""

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from legible import images
from legible.errors import InvalidField, InvalidImage, RecognitionFailed
from legible.recognizers import click
from legible.recognizers.click import MOST_IMAGES, recognize, supported, tiles
from legible.recognizers.click.decode import CALIBRATIONS, decode, rated
from legible.recognizers.click.discs import find_discs
from legible.recognizers.click.model import View
from legible.recognizers.click.names import AROUND, CROP, crops, known_nouns, margins
from legible.recognizers.click.nouns import NOUNS
from legible.recognizers.click.preprocess import Canvas
from legible.recognizers.click.rules import RULES, Choice, largest, odd, pair, smallest, uniform
from legible.recognizers.click.scene import likeliest
from legible.recognizers.click.tiles import decode_tiles, tile_nouns
from legible.recognizers.click.together import Joint, likeness, together, usual
from legible.recognizers.click.wordings import Rule
from legible.tasks import ClickAnswer, ClickOptions, ImageLimits, Kind, Task

SAMPLES = Path(__file__).parent / "samples" / "click"
LABELS: list[dict[str, Any]] = json.loads((SAMPLES / "labels.json").read_text())
# How much page is around a scene, in pixels.
TOP, LEFT, BELOW = 80, 14, 44
ODD = "Please click on the object that appears only once."


def ask(question: str, *pictures: bytes, threshold: float | None = None) -> ClickAnswer:
    return recognize(Task(Kind.CLICK, pictures, ClickOptions(question), threshold))


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def plain(width: int, height: int) -> bytes:
    return encoded(np.full((height, width, 3), 200, np.uint8))


def on_page(file: Path, paper: int) -> NDArray[np.uint8]:
    """A sample as a screenshot has it: with a band of words over it, a margin, and a button below."""
    scene = images.decode(file.read_bytes()).rgb
    height, width = scene.shape[:2]
    page = np.full((TOP + height + BELOW, width + 2 * LEFT, 3), paper, np.uint8)
    page[: TOP - 12] = (0, 110, 140)
    page[20:50:2, 15:200:3] = 255
    page[-30:-12, -90:-15] = (70, 70, 70)
    page[TOP : TOP + height, LEFT : LEFT + width] = scene
    return page


def hit(points: tuple[tuple[int, int], ...], wanted: list[list[int]]) -> bool:
    return all(any(math.dist(point, (x, y)) <= radius for point in points) for x, y, radius in wanted)


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label["file"])
def test_the_point_is_on_what_was_asked_for(label: Mapping[str, Any]) -> None:
    answer = ask(label["question"], sample(label["file"]))
    assert hit(answer.points, label["wanted"])
    assert answer.point == answer.points[0]
    assert len(answer.points) == len(label["wanted"])
    assert answer.label == label["question"]


@pytest.mark.parametrize("factor", [1.5, 3])
def test_the_point_is_in_pixels_of_the_picture_that_was_sent(factor: float) -> None:
    label = next(label for label in LABELS if label["file"] == "odd-4.jpg")
    picture = Image.open(SAMPLES / label["file"])
    size = round(picture.width * factor), round(picture.height * factor)
    answer = ask(ODD, encoded(np.asarray(picture.resize(size, Image.Resampling.BICUBIC))))
    assert answer.size == size
    assert hit(answer.points, [[value * factor for value in place] for place in label["wanted"]])


@pytest.mark.parametrize("file", ["odd-1.jpg", "odd-4.jpg", "named-heart.png"])
@pytest.mark.parametrize("paper", [250, 30])
def test_a_scene_on_a_page_is_found_first(file: str, paper: int) -> None:
    label = next(label for label in LABELS if label["file"] == file)
    page = on_page(SAMPLES / file, paper)
    answer = ask(label["question"], encoded(page))
    wanted = [[x + LEFT, y + TOP, radius] for x, y, radius in label["wanted"]]
    assert hit(answer.points, wanted)
    assert answer.size == page.shape[1::-1]


def test_chinese_asks_the_same() -> None:
    assert ask("请点击只出现一次的物体", sample("odd-4.jpg")).point == ask(ODD, sample("odd-4.jpg")).point


def test_an_answer_under_the_threshold_is_refused() -> None:
    sure = ask(ODD, sample("odd-4.jpg")).confidence
    with pytest.raises(RecognitionFailed, match="enough confidence") as refused:
        ask(ODD, sample("odd-4.jpg"), threshold=min(1.0, sure + 0.001))
    assert refused.value.confidence == sure


@pytest.mark.parametrize(("rule", "kind"), CALIBRATIONS)
def test_every_rule_refuses_what_is_not_sure_enough(rule: Rule, kind: str) -> None:
    one = np.ones(3, np.float32)
    view = View(np.zeros((3, 3), np.float32), (), one, one if kind == "discs" else None)
    calibration = CALIBRATIONS[rule, kind]
    least = 0.3 if rule in (Rule.NAMED_POINT, Rule.ATTRIBUTE) else 0.7
    margin = (math.log(least / (1 - least)) - calibration.offset) / calibration.slope
    canvas = Canvas(np.zeros((64, 64, 3), np.uint8), 1.0, (64, 64))
    assert view.kind == kind
    assert decode(rated(view, Choice((1,), margin + 0.01), rule), rule, canvas, "").confidence >= least
    with pytest.raises(RecognitionFailed, match=rf"under the threshold {least:g}$"):
        decode(rated(view, Choice((1,), margin - 0.01), rule), rule, canvas, "")


def test_a_picture_without_objects_is_refused_at_any_threshold() -> None:
    with pytest.raises(RecognitionFailed, match="too few"):
        ask(ODD, plain(300, 300), threshold=0.0)


@pytest.mark.parametrize(("width", "height"), [(2000, 64), (64, 2000), (64, 64)])
def test_a_picture_of_any_shape_can_be_asked_about(width: int, height: int) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (height, width, 3), np.uint8)
    for rule in ("the odd one out", "the largest shape", "the two identical shapes"):
        with pytest.raises(RecognitionFailed):
            ask(f"click {rule}", encoded(noise), threshold=0.999)


def test_identical_discs_have_no_odd_one() -> None:
    picture = np.full((256, 256, 3), 90, np.uint8)
    y, x = np.mgrid[:256, :256]
    for row in range(3):
        for column in range(3):
            inside = np.hypot(x - 48 - 80 * column, y - 48 - 80 * row) < 25
            picture[inside] = 220
            picture[inside & ((x - 80 * column) // 6 % 2 == 0)] = 30
    with pytest.raises(RecognitionFailed, match="enough confidence"):
        ask(ODD, encoded(picture))


def test_an_empty_question_is_refused() -> None:
    with pytest.raises(InvalidField, match="question: got an empty one; allowed: questions in English"):
        ask("  ", sample("odd-1.jpg"))


def test_an_unknown_question_is_refused_with_what_is_supported() -> None:
    with pytest.raises(InvalidField, match="a wording that is not known") as refused:
        ask("la di da", sample("odd-1.jpg"))
    assert refused.value.field == "question"
    assert refused.value.allowed == supported()
    assert all(str(rule) in supported() for rule in RULES)


@pytest.mark.parametrize(
    "question",
    [
        "Please click on the animal that does not belong in the environment",
        "Click each image containing something you can wear",
        "Click on things that are heavier than a horse",
        "选择适合放入高温烤箱的物品",
    ],
)
def test_a_question_that_needs_reasoning_is_refused_and_not_guessed(question: str) -> None:
    with pytest.raises(InvalidField, match="reasoning"):
        ask(question, sample("odd-1.jpg"), threshold=0.0)


@pytest.mark.parametrize(
    "question", ["Please click on the gizmo", "Select all images containing a typewriter", "点击河流"]
)
def test_a_thing_outside_the_vocabulary_is_refused_with_the_vocabulary(question: str) -> None:
    with pytest.raises(InvalidField, match="is not in the vocabulary") as refused:
        ask(question, sample("odd-1.jpg"), threshold=0.0)
    assert question in refused.value.message
    assert {"bus", "penguin"} <= set(refused.value.allowed.split(", "))


def test_the_published_vocabulary_has_sixty_nouns_in_both_languages() -> None:
    assert len(known_nouns()) >= 60
    assert set(known_nouns()) <= set(NOUNS)
    assert all(any(not word.isascii() for word in NOUNS[noun]) for noun in tile_nouns())
    assert f"{Rule.NAMED_POINT} ({len(known_nouns())} nouns)" in supported()


def test_a_picture_that_is_too_small_is_refused() -> None:
    with pytest.raises(InvalidImage, match="40x300 pixels, too small"):
        ask(ODD, plain(40, 300))


def test_a_rule_over_objects_takes_one_picture() -> None:
    with pytest.raises(InvalidImage, match="one picture"):
        ask(ODD, sample("odd-1.jpg"), sample("odd-1.jpg"))


def test_pictures_may_be_of_different_sizes() -> None:
    cats = "each image containing a cat"
    answer = ask(cats, plain(100, 100), plain(99, 100), plain(120, 80), threshold=0.5)
    assert len(answer.objects) == len(answer.confidences) == 3
    assert answer.size == (100, 100)
    with pytest.raises(InvalidImage, match=r"images\[1\].*10x100 pixels, too small"):
        ask(cats, plain(100, 100), plain(10, 100))


def test_more_than_sixteen_pictures_are_refused() -> None:
    with pytest.raises(InvalidImage, match="17 pictures"):
        ask(ODD, *[plain(100, 100)] * (MOST_IMAGES + 1))


# ---- rules ---------------------------------------------------------------------------


def view(distances: NDArray[np.float32], areas: list[float] | None = None) -> View:
    count = len(distances)
    given = np.array(areas or [100.0] * count, np.float32)
    return View(np.zeros((count, 3), np.float32), ((distances.astype(np.float32), 0.1),), given)


def apart(count: int, *odd_ones: int) -> NDArray[np.float32]:
    distances = np.full((count, count), 0.05, np.float32)
    for one in odd_ones:
        distances[one, :] = distances[:, one] = 0.9
    np.fill_diagonal(distances, 0)
    return distances


@given(st.integers(4, 14), st.data())
def test_the_odd_one_is_found_wherever_it_stands(count: int, data: st.DataObject) -> None:
    one = data.draw(st.integers(0, count - 1))
    choice = odd(view(apart(count, one)), 1)
    assert choice.objects == (one,)
    assert choice.margin > 1


def test_two_odd_ones_are_both_found() -> None:
    assert set(odd(view(apart(9, 2, 5)), 2).objects) == {2, 5}


def test_no_odd_one_has_no_margin() -> None:
    assert odd(view(apart(9)), 1).margin == pytest.approx(0, abs=1e-6)


@given(st.integers(4, 10), st.data())
def test_the_identical_pair_is_found(count: int, data: st.DataObject) -> None:
    first, second = data.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=2, unique=True))
    distances = np.full((count, count), 0.8, np.float32)
    distances[first, second] = distances[second, first] = 0.02
    choice = pair(view(distances), 2)
    assert set(choice.objects) == {first, second}
    assert choice.margin > 1


def test_largest_and_smallest_go_by_area() -> None:
    sizes = view(apart(4), [50.0, 90.0, 20.0, 60.0])
    assert largest(sizes, 1).objects == (1,)
    assert smallest(sizes, 1).objects == (2,)
    assert largest(sizes, 1).margin == pytest.approx(math.log(90 / 60), rel=1e-5)


def test_one_colour_is_the_least_spread() -> None:
    discs = view(apart(3))
    spread = np.array([0.6, 0.1, 0.7], np.float32)
    assert uniform(View(discs.places, discs.differences, discs.areas, spread), 1).objects == (1,)


@given(st.floats(0, 10), st.floats(0, 10))
def test_a_wider_margin_is_never_less_sure(first: float, second: float) -> None:
    for calibration in CALIBRATIONS.values():
        low, high = sorted((first, second))
        assert 0 <= calibration(low) <= calibration(high) <= 1


def test_squares_are_no_discs() -> None:
    picture = np.full((256, 256, 3), 90, np.uint8)
    for row in range(3):
        for column in range(3):
            picture[30 + 80 * row : 70 + 80 * row, 30 + 80 * column : 70 + 80 * column] = 220
    assert find_discs(picture) is None


# ---- tiles ---------------------------------------------------------------------------


def test_tiles_fit_where_the_evidence_says_so() -> None:
    answer = decode_tiles(
        together(np.array([9, -9, -9, 8], np.float32)), "each image containing a bus", (128, 128)
    )
    assert answer.objects == (True, False, False, True)
    assert answer.point is None
    assert answer.confidence > 0.99


def test_tiles_that_could_be_anything_are_refused_unless_a_threshold_is_given() -> None:
    evidence = np.zeros(9, np.float32)
    with pytest.raises(RecognitionFailed, match="which pictures fit"):
        decode_tiles(together(evidence), "each image containing a bus", (128, 128))
    assert decode_tiles(together(evidence), "", (128, 128), threshold=0.2).objects == (True,) * 9


def test_the_confidence_of_tiles_is_that_of_the_ones_chosen() -> None:
    evidence = np.array([1.2, 1.2, -9], np.float32)
    joint = together(evidence)
    few, usual = (decode_tiles(joint, "", (128, 128), threshold=least) for least in (0.9, 0.5))
    assert few.objects == (False, False, False)
    assert usual.objects == (True, True, False)
    assert few.confidence < usual.confidence
    alone = together(np.array([-10], np.float32))
    assert decode_tiles(alone, "", (128, 128), threshold=0.0).confidence < 0.001


def test_what_the_grid_has_a_label_for_is_asked_of_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "likelihoods", lambda tensor, label: np.full(len(tensor), 9, np.float32))
    answer = ask("Please click each image containing a motorcycle", *[plain(128, 128)] * 3)
    assert answer.objects == (True, True, True)
    assert str(Rule.NAMED_TILES) in supported()


def test_large_tiles_are_shrunk_as_they_come_and_the_answer_has_their_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides = []

    def seen(picture: np.ndarray) -> np.ndarray:
        small = tiles.shrunk(picture)
        sides.append(small.shape[:2])
        return small

    monkeypatch.setattr(click, "shrunk", seen)
    picture = encoded(np.random.default_rng(1).integers(0, 256, (600, 900, 3), np.uint8))
    options = ClickOptions("each image containing a bus")
    answer = recognize(Task(Kind.CLICK, (picture,) * 2, options, threshold=0.5))
    assert (answer.size, sides) == ((900, 600), [(512, 512)] * 2)


def test_a_named_thing_is_found_among_tiles() -> None:
    pictures = [sample(f"tile-{index}.png") for index in range(4)]
    answer = ask("Please click each image containing a traffic light", *pictures, threshold=0.5)
    assert len(answer.confidences) == 4
    assert max(answer.confidences) == answer.confidences[1]


@given(st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=16))
def test_sets_of_tiles_are_weighed_to_one(evidence: list[float]) -> None:
    joint = together(np.array(evidence, np.float32))
    assert joint.chances.sum() == pytest.approx(1)
    order = np.argsort(evidence, kind="stable")
    assert (np.diff(joint.each[order]) >= -1e-9).all()


def test_tiles_that_are_alike_fit_alike() -> None:
    evidence = np.array([2, -0.5, -0.5, -0.5, -0.5], np.float32)
    alike = np.zeros((5, 5), np.float32)
    alike[0, 1] = alike[1, 0] = 3
    apart, pulled = together(evidence).each, together(evidence, alike).each
    assert apart[1] == pytest.approx(apart[2])
    assert pulled[1] > 0.5 > pulled[2]


def test_so_many_tiles_fit_as_the_question_says() -> None:
    evidence = np.array([4, 3, 2, -1, -2, -3, -4, -5, -6], np.float32)
    one = together(evidence, count=1)
    assert one.each.sum() == pytest.approx(1)
    assert one.chance_of(np.arange(9) == 0) == pytest.approx(one.chances.max())
    picture = plain(128, 128)
    with pytest.raises(InvalidField, match="of 3 pictures; allowed: more than 3 pictures"):
        ask("点击3个用于游戏或运动的物品", *[picture] * 3)


@pytest.mark.parametrize("number", range(1, 17))
def test_any_number_of_tiles_has_a_usual_count(number: int) -> None:
    share = usual(number, None)
    assert share.shape == (number + 1,)
    assert (share > 0).all()
    assert share[min(number, 2)] == share.max()


def test_likeness_is_of_what_is_not_common_to_all() -> None:
    looks = np.array([[1, 0.1, 0], [1, 0.1, 0], [1, 0, 0.1]], np.float32)
    alike = likeness(looks)
    assert alike[0, 1] == pytest.approx(1, abs=1e-3)
    assert alike[0, 2] < alike[0, 1]
    assert isinstance(together(np.zeros(3, np.float32), alike), Joint)


@pytest.mark.parametrize(
    "question", ["each image containing a bus", "click on all entities similar to the following pattern"]
)
def test_who_can_use_only_a_place_is_told_what_to_ask(question) -> None:
    task = Task(Kind.CLICK, (plain(64, 64),), ClickOptions(question, place_only=True))
    with pytest.raises(InvalidField, match=r"question: got .* of one picture; allowed: .* place in the pic"):
        recognize(task)


def test_pictures_are_not_too_large_in_all() -> None:
    limits, large = ImageLimits(max_pixels=4096), plain(64, 64)
    task = Task(Kind.CLICK, (large,) * 3, ClickOptions("each image containing a bus"), limits=limits)
    with pytest.raises(
        InvalidImage, match="images: got 3 pictures of 12288 pixels in all; allowed: at most 8"
    ):
        recognize(task)
    options = ClickOptions("click on all entities similar to the following pattern", (large,) * 3)
    with pytest.raises(InvalidImage, match="anchors: got 3 pictures of 12288 pixels in all"):
        recognize(Task(Kind.CLICK, (plain(32, 32),) * 3, options, limits=limits))


def test_of_several_pictures_a_question_for_a_named_object_means_which_show_it() -> None:
    pictures = [sample(f"tile-{index}.png") for index in range(3)]
    asked, each = (ask(f"{words} star", *pictures) for words in ("click on the", "each image containing a"))
    assert asked.objects == each.objects == (False, False, True)
    assert asked.confidences == each.confidences
    with pytest.raises(InvalidField, match="gorilla is not in the vocabulary"):
        ask("click on the gorilla", *pictures)  # told well enough in scenes alone


def test_what_a_sample_shows_is_found_among_tiles() -> None:
    heart, light, star, other = (sample(f"tile-{index}.png") for index in range(4))
    pictures, question = (
        (light, heart, star),
        "Please click on all entities similar to the following pattern.",
    )
    task = Task(Kind.CLICK, pictures, ClickOptions(question, (other,)), threshold=0.5)
    answer = recognize(task)
    assert max(answer.confidences) == answer.confidences[1]
    with pytest.raises(InvalidField, match="anchors: got none"):
        ask(question, *pictures)
    with pytest.raises(InvalidImage, match="images: got 2 pictures; allowed: at least 3"):
        recognize(Task(Kind.CLICK, pictures[:2], ClickOptions(question, (other,))))
    with pytest.raises(InvalidImage, match=r"anchors\[0\]: got 8x8 pixels; allowed: at least 24"):
        recognize(Task(Kind.CLICK, pictures, ClickOptions(question, (plain(8, 8),))))
    with pytest.raises(InvalidImage, match=r"anchors\[1\]"):
        recognize(Task(Kind.CLICK, pictures, ClickOptions(question, (other, b"GIF89a"))))


def test_what_melts_is_the_snowman_in_a_scene() -> None:
    scene = next(each for each in LABELS if each["file"] == "named-snowman.png")
    for question in ("Click on the object that melts", "点击会融化的物体"):
        answer = ask(question, sample("named-snowman.png"), threshold=0.0)
        assert hit(answer.points, scene["wanted"])


def test_all_that_are_like_that_are_asked_of_several_pictures() -> None:
    with pytest.raises(InvalidField, match="of one picture"):
        ask("Click on all objects that melt", sample("named-snowman.png"))


def test_a_comparison_with_what_has_no_size_is_refused() -> None:
    for question in (
        "Click on objects that are smaller than a dragon",
        "click on things smaller than an ant",
    ):
        with pytest.raises(InvalidField, match="nothing can be compared") as refused:
            ask(question, *[plain(128, 128)] * 3)
        assert {"cow", "cat"} <= {*refused.value.allowed.split(", ")}


# ---- names ---------------------------------------------------------------------------


@given(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=12), st.integers(1, 3))
def test_the_likeliest_objects_come_first(evidence: list[float], count: int) -> None:
    choice = likeliest(np.array(evidence, np.float32), count)
    chosen = [evidence[i] for i in choice.objects]
    assert chosen == sorted(evidence, reverse=True)[:count]
    others = sorted(evidence, reverse=True)[count:]
    assert choice.margin <= chosen[-1] - max(others, default=0) + 1e-3


def test_fewer_than_are_asked_for_are_not_chosen() -> None:
    assert likeliest(np.array([3, 2], np.float32), 3).objects == ()


def test_two_that_are_as_likely_leave_no_margin() -> None:
    assert likeliest(np.array([5, 5, -5], np.float32), 1).margin == pytest.approx(0, abs=1e-3)
    assert likeliest(np.array([5, -5, -5], np.float32), 1).margin > 4


def test_many_that_are_nearly_as_likely_leave_less_than_one() -> None:
    one = likeliest(np.array([5, 4], np.float32), 1).margin
    many = likeliest(np.array([5, 4, 4, 4, 4], np.float32), 1).margin
    assert one == pytest.approx(1, abs=1e-5)
    assert many == pytest.approx(1 - math.log(4), abs=1e-5)


def test_a_margin_weighs_some_classes_against_all_others() -> None:
    logits = np.log(np.array([[0.2, 0.3, 0.4, 0.1]], np.float32))
    assert margins(logits, (0, 1))[0] == pytest.approx(0, abs=1e-5)
    assert margins(logits, (2,))[0] == pytest.approx(math.log(0.4 / 0.6), abs=1e-5)


def test_a_piece_shows_its_place_in_the_middle() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[90:111, 190:211] = 255
    piece = crops(picture, np.array([[200, 100, 20]], np.float32), AROUND)[0]
    rows, columns = np.nonzero(piece[..., 0] > 128)
    assert (rows.mean(), columns.mean()) == (pytest.approx((CROP - 1) / 2, abs=1),) * 2
    assert len(rows) == pytest.approx((21 * CROP / (2 * AROUND * 20)) ** 2, rel=0.1)


def test_a_scene_without_objects_has_no_named_one() -> None:
    with pytest.raises(RecognitionFailed, match="too few"):
        ask("click on the elephant", plain(300, 300), threshold=0.0)
