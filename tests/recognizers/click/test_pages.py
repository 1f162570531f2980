"""The scene on a screenshot: found to the pixel or so where there is a page, and not where there is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from legible.recognizers.click.pages import find_scene


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


def things_on_plain_ground(height: int, width: int) -> NDArray[np.uint8]:
    scene = np.full((height, width, 3), (90, 140, 200), np.uint8)
    for top, left in ((0.1, 0.1), (0.15, 0.6), (0.6, 0.2), (0.7, 0.7)):
        y, x = round(top * height), round(left * width)
        scene[y : y + 40, x : x + 40] = (200, 60, 40)
    return scene


@given(margins=st.tuples(*[st.integers(0, 60)] * 4), paper=st.sampled_from([255, 238, 20]))
@settings(max_examples=25, deadline=None)
def test_a_scene_is_found_whatever_the_margins(margins: tuple[int, ...], paper: int) -> None:
    top, right, bottom, left = (margin if margin > 6 else 0 for margin in margins)
    page = np.full((300 + top + bottom, 360 + left + right, 3), paper, np.uint8)
    page[top : top + 300, left : left + 360] = noise(300, 360)
    found = find_scene(page)
    if found is None:
        assert 0.95 * page.shape[0] * page.shape[1] <= 300 * 360
    else:
        assert np.abs(np.subtract(found, (left, top, left + 360, top + 300))).max() <= 4


def test_words_over_a_scene_are_left_out() -> None:
    page = np.full((480, 400, 3), 255, np.uint8)
    page[20:60:3, 10:300:4] = 20
    page[80:] = noise(400, 400)
    assert find_scene(page) == (0, pytest.approx(80, abs=3), 400, 480)


def test_a_band_a_margin_and_a_button_are_left_out() -> None:
    page = np.full((560, 440, 3), 245, np.uint8)
    page[:90] = (0, 120, 150)
    page[30:50, 20:200:4] = 255
    page[100:480, 20:420] = things_on_plain_ground(380, 400)
    page[510:540, 330:420] = 80
    assert find_scene(page) == pytest.approx((20, 100, 420, 480), abs=4)


@pytest.mark.parametrize("draw", [noise, things_on_plain_ground])
def test_a_scene_without_a_page_is_left_whole(draw: object) -> None:
    assert callable(draw)
    assert find_scene(draw(400, 500)) is None


def test_one_colour_is_no_page() -> None:
    assert find_scene(np.full((300, 300, 3), 200, np.uint8)) is None


def test_a_large_object_on_plain_ground_is_no_scene() -> None:
    picture = np.full((400, 400, 3), 230, np.uint8)
    picture[150:290, 140:280] = noise(140, 140)
    assert find_scene(picture) is None


def test_a_picture_of_any_size_can_be_looked_at() -> None:
    for height, width in ((1, 1), (3, 2000), (64, 64)):
        assert find_scene(np.full((height, width, 3), 9, np.uint8)) is None
