"""The grid recognizer: how evidence becomes an answer, what is refused, and simple pictures drawn here."""

import io
from math import comb

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from legible.errors import InvalidField, InvalidImage, RecognitionFailed
from legible.model_store import model_files
from legible.recognizers.grid import recognize
from legible.recognizers.grid.decode import COUNTS, LEAST, decode
from legible.recognizers.grid.labels import LABELS
from legible.recognizers.grid.model import (
    TWICE,
    Calibration,
    columns,
    doubtful,
    likelihoods,
    margins,
    tile_network,
)
from legible.recognizers.grid.preprocess import scene_tensor, tensor, tiles
from legible.tasks import GridAnswer, GridOptions, Kind, Task

LABEL = "/m/01pns0"
SIZES = {1: 100, 9: 300, 16: 450}
EVIDENCE = st.sampled_from([1, 9, 16]).flatmap(
    lambda count: st.lists(st.floats(-20, 20, width=32), min_size=count, max_size=count)
)


def encoded(pixels: NDArray[np.uint8], form: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, form)
    return target.getvalue()


def read(
    pixels: NDArray[np.uint8], question: str = LABEL, threshold: float | None = None, top: int | None = None
) -> GridAnswer:
    return recognize(Task(Kind.GRID, (encoded(pixels),), GridOptions(question, top), threshold))


def noise(side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(side).integers(0, 255, (side, side, 3), np.uint8)


def crossing(side: int = 100) -> NDArray[np.uint8]:
    """White stripes that grow wider towards us on a grey road, under a strip of sky and trees."""
    picture = np.full((side, side, 3), 96, np.uint8)
    picture[: side // 5] = 90, 120, 80
    for i in range(-3, 4):
        top, bottom = side / 2 + i * side * 0.11, side / 2 + i * side * 0.24
        quad = [
            (top, side * 0.3),
            (top + side * 0.055, side * 0.3),
            (bottom + side * 0.12, side),
            (bottom, side),
        ]
        cv2.fillPoly(picture, [np.array(quad, np.int32)], (235, 235, 230), cv2.LINE_AA)
    return grained(picture)


def lights(side: int = 100) -> NDArray[np.uint8]:
    """A black box with a red, a yellow and a green disc in front of the sky."""
    picture = np.full((side, side, 3), (150, 185, 225), np.uint8)
    cv2.rectangle(
        picture, (side * 35 // 100, side * 12 // 100), (side * 65 // 100, side * 84 // 100), (25, 28, 25), -1
    )
    for row, colour in ((26, (230, 40, 30)), (48, (90, 70, 20)), (70, (20, 70, 40))):
        cv2.circle(picture, (side // 2, side * row // 100), side // 10, colour, -1, cv2.LINE_AA)
    return grained(picture)


def grained(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    soft = cv2.GaussianBlur(picture, (0, 0), 0.8).astype(np.float32)
    grain = np.random.default_rng(1).normal(0, 5, picture.shape)
    return np.clip(soft + grain, 0, 255).astype(np.uint8)


def test_the_set_with_the_most_evidence_is_chosen() -> None:
    evidence = np.full(9, -8, np.float32)
    evidence[[2, 5, 7]] = 8
    answer = decode(evidence, LABEL, 300)
    assert (answer.objects, answer.label, answer.size) == ((2, 5, 7), LABEL, 300)
    assert answer.confidence > 0.95
    assert all((confidence > 0.9) == (i in (2, 5, 7)) for i, confidence in enumerate(answer.confidences))


def test_three_or_four_tiles_are_expected_of_a_challenge() -> None:
    """The third best tile is taken on weaker evidence than a fifth would need."""
    third, fifth = np.full(9, -6, np.float32), np.full(9, -6, np.float32)
    third[[0, 1]], third[2] = 6, -0.5
    fifth[[0, 1, 2, 3]], fifth[4] = 6, 0.5
    assert decode(third, LABEL, 300, top=3).objects == (0, 1, 2)
    assert decode(third, LABEL, 300).objects == (0, 1, 2)
    assert decode(fifth, LABEL, 300).objects == (0, 1, 2, 3)


def test_without_evidence_a_tile_is_as_likely_as_the_counts_say() -> None:
    answer = decode(np.zeros(9, np.float32), LABEL, 300, top=1)
    expected = sum(count * share for count, share in enumerate(COUNTS)) / sum(COUNTS) / 9
    assert answer.confidences == tuple([round(expected, 4)] * 9)
    assert answer.confidence == pytest.approx(COUNTS[1] / sum(COUNTS) / comb(9, 1), abs=1e-4)


def test_confidence_overrides_the_expected_counts() -> None:
    evidence = np.array([9, 9, 9, 9, 9, 9, 9, -9, -9], np.float32)
    assert decode(evidence, LABEL, 300, threshold=0.5).objects == tuple(range(7))
    unsure = decode(np.zeros(9, np.float32), LABEL, 300, threshold=0.99)
    assert unsure.objects == ()
    assert decode(np.zeros(9, np.float32), LABEL, 300, threshold=0.0).objects == tuple(range(9))


def test_top_takes_the_best_tiles_in_reading_order() -> None:
    evidence = np.array([0, 1, 5, 2, -1, 4, 3, -2, -3], np.float32)
    assert decode(evidence, LABEL, 300, top=3).objects == (2, 5, 6)
    assert decode(evidence, LABEL, 300, top=99).objects == tuple(range(9))


@pytest.mark.parametrize("count", [1, 9, 16])
def test_a_guess_is_refused_unless_the_caller_says_how_to_choose(count: int) -> None:
    with pytest.raises(RecognitionFailed, match="send confidence or top") as refused:
        decode(np.zeros(count, np.float32), LABEL, SIZES[count])
    assert refused.value.threshold == LEAST[count]
    assert refused.value.confidence is not None
    assert refused.value.confidence < LEAST[count]
    best = decode(np.zeros(count, np.float32), LABEL, SIZES[count], top=1).objects
    assert len(best) == (1 if count > 1 else 0)


@pytest.mark.parametrize(("evidence", "objects"), [(-7, ()), (-0.1, ()), (0.1, (0,)), (7, (0,))])
def test_the_best_of_one_tile_is_not_the_tile_whatever_it_shows(
    evidence: float, objects: tuple[int, ...]
) -> None:
    answer = decode(np.array([evidence], np.float32), LABEL, 100, top=3)
    assert answer.objects == objects
    assert answer.confidence == pytest.approx(1 / (1 + np.exp(-abs(evidence))), abs=1e-4)


def test_one_tile_has_the_object_or_not() -> None:
    assert decode(np.array([3], np.float32), LABEL, 100).objects == (0,)
    assert decode(np.array([-3], np.float32), LABEL, 100).objects == ()
    assert decode(np.array([3], np.float32), LABEL, 100).confidence == pytest.approx(
        1 / (1 + np.exp(-3)), abs=1e-4
    )


def test_cells_of_a_scene_are_as_many_as_they_like() -> None:
    assert decode(np.full(16, 9, np.float32), LABEL, 450).objects == tuple(range(16))
    assert decode(np.full(16, -9, np.float32), LABEL, 450).objects == ()


@given(st.lists(st.floats(-6, 6, width=32), min_size=16, max_size=16))
def test_no_other_number_of_the_surest_cells_is_expected_to_overlap_better(evidence: list[float]) -> None:
    cells = np.array(evidence, np.float32)
    try:
        chosen = decode(cells, LABEL, 450)
    except RecognitionFailed:
        return
    assert all(decode(cells, LABEL, 450, top=count).confidence <= chosen.confidence for count in range(1, 17))


@given(EVIDENCE, st.none() | st.floats(0, 1), st.none() | st.integers(1, 20))
def test_every_answer_keeps_to_the_contract(
    evidence: list[float], threshold: float | None, top: int | None
) -> None:
    count = len(evidence)
    try:
        answer = decode(np.array(evidence, np.float32), LABEL, SIZES[count], threshold, top)
    except RecognitionFailed:
        assert threshold is None
        assert top is None
        return
    assert len(answer.confidences) == count
    assert all(0 <= confidence <= 1 for confidence in (*answer.confidences, answer.confidence))
    assert list(answer.objects) == sorted(set(answer.objects))
    assert all(0 <= tile < count for tile in answer.objects)
    if top is not None and count > 1:
        worst = min(answer.confidences[i] for i in answer.objects)
        assert len(answer.objects) == min(top, count)
        assert all(answer.confidences[i] <= worst for i in range(count) if i not in answer.objects)


def test_a_label_that_leads_all_others_together_has_a_positive_margin() -> None:
    logits = np.array([[2.0, 1.0, 1.0]], np.float32)
    assert margins(logits, [0])[0] == pytest.approx(2 - 1 - np.log(2))
    assert margins(logits, [1])[0] < 0
    assert Calibration(2, 1, 0.5)(logits[:, 0], margins(logits, [0]))[0] == pytest.approx(4.5 + 1 - np.log(2))


def test_what_speaks_for_a_school_bus_speaks_for_a_bus_but_not_the_other_way_round() -> None:
    labels = ("/m/01bjv", "/m/02yvhj", "/m/0k4j")
    assert columns(labels, "/m/01bjv") == [0, 1]
    assert columns(labels, "/m/02yvhj") == [1]
    assert columns(labels, "/m/0k4j") == [2]
    school_bus = np.array([[-3.0, 4.0, 0.0, 0.0]], np.float32)
    assert margins(school_bus, columns(labels, "/m/01bjv"))[0] == pytest.approx(4 - np.log(2))
    assert margins(school_bus, [0])[0] < 0


def test_the_tiles_nearest_to_even_odds_are_looked_at_again() -> None:
    likelihoods = np.array([9, -0.5, 4, -8, 0.1, -3, 7, 2, -9], np.float32)
    assert doubtful(likelihoods).tolist() == [4, 1, 7, 5]
    assert doubtful(likelihoods[:1]).tolist() == [0]


def test_a_mirrored_tile_has_the_same_evidence_once_it_is_seen_twice() -> None:
    few = tensor(tiles(noise(300), 3)[:TWICE])
    mirrored = np.ascontiguousarray(few[..., ::-1])
    assert likelihoods(few, LABEL) == pytest.approx(likelihoods(mirrored, LABEL), abs=1e-4)
    own, network = columns(tile_network().labels, LABEL), tile_network()
    once = [network.model.run(x)[0][:, own].max(1) for x in (few, mirrored)]
    assert np.abs(once[0] - once[1]).max() > 0.01


def test_tiles_are_cut_in_reading_order() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    for tile in range(9):
        picture[tile // 3 * 100 : tile // 3 * 100 + 100, tile % 3 * 100 : tile % 3 * 100 + 100] = tile
    assert [int(each.max()) for each in tiles(picture, 3)] == list(range(9))
    assert tensor(tiles(picture, 3)).shape == (9, 3, 128, 128)
    assert scene_tensor(noise(450)).shape == (1, 3, 320, 320)
    assert tensor(np.full((1, 100, 100, 3), 255, np.uint8)).max() == pytest.approx(127 / 128)


@pytest.mark.parametrize("shape", [(99, 99), (300, 450), (450, 449), (101, 100)])
def test_another_size_is_refused_by_name(shape: tuple[int, int]) -> None:
    picture = noise(450)[: shape[0], : shape[1]]
    with pytest.raises(InvalidImage, match=rf"{shape[1]}x{shape[0]} pixels.*100x100, 300x300 or 450x450"):
        read(picture)


@pytest.mark.parametrize("side", [100, 300, 450])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 90)])
def test_a_picture_of_one_colour_is_refused(side: int, colour: tuple[int, int, int]) -> None:
    with pytest.raises(RecognitionFailed, match="single colour"):
        read(np.full((side, side, 3), colour, np.uint8), top=1)


def test_an_unknown_question_is_told_the_known_ones() -> None:
    with pytest.raises(InvalidField, match=r"question: got 'unicorns'; allowed: /m/0pg52 \(taxis\)"):
        read(noise(100), "unicorns")


@pytest.mark.parametrize("name", ["grid", "grid_scene"])
def test_the_weights_are_small_and_name_their_labels(name: str) -> None:
    from legible.recognizers.grid import model

    network = model.tile_network() if name == "grid" else model.scene_network()
    assert set(network.labels) == set(LABELS)
    assert sum(model_files()[each].path.stat().st_size for each in ("grid", "grid_scene")) <= 12_000_000
    assert set(network.calibrations) == set(network.labels)
    assert all(each.slope > 0 for each in network.calibrations.values())


@pytest.mark.parametrize("side", [100, 300, 450])
@pytest.mark.parametrize(
    "question", ["/m/014xcs", "Select all squares with traffic lights", "选择包含公交车的图块"]
)
def test_every_size_and_wording_is_answered(side: int, question: str) -> None:
    answer = read(noise(side), question, threshold=0.5)
    assert answer.size == side
    assert len(answer.confidences) == {100: 1, 300: 9, 450: 16}[side]


def test_the_same_picture_has_the_same_answer_as_png_and_as_webp() -> None:
    picture = noise(300)
    one = recognize(Task(Kind.GRID, (encoded(picture),), GridOptions(LABEL), 0.5))
    target = io.BytesIO()
    Image.fromarray(picture).save(target, "WEBP", lossless=True)
    assert recognize(Task(Kind.GRID, (target.getvalue(),), GridOptions(LABEL), 0.5)) == one


def grid_of(crossings: set[int]) -> NDArray[np.uint8]:
    """3x3: crossings at these places, lights at the others."""
    drawn = [crossing() if tile in crossings else lights() for tile in range(9)]
    return np.vstack([np.hstack(drawn[row : row + 3]) for row in (0, 3, 6)])


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("question", ["/m/014xcs", "Select all images with crosswalks", "人行横道"])
def test_crossings_are_found_among_traffic_lights(form: str, question: str) -> None:
    picture = encoded(grid_of({1, 4, 6}), form)
    answer = recognize(Task(Kind.GRID, (picture,), GridOptions(question)))
    assert (answer.label, answer.objects) == ("/m/014xcs", (1, 4, 6))


def test_a_single_tile_shows_what_it_shows_and_nothing_else() -> None:
    assert read(lights(), "traffic lights").objects == (0,)
    assert read(lights(), "boats").objects == ()
    assert read(crossing(), "crosswalks").objects == (0,)
    assert read(crossing(), "fire hydrant").objects == ()
