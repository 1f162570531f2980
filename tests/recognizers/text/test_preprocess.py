"""From a picture to what the network sees."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from legible.images import Picture, decode
from legible.recognizers.text.preprocess import (
    HEIGHT,
    STEPS,
    WIDTHS,
    ZERO,
    close_box,
    content_box,
    fit,
    flatten,
    further_views,
    preprocess,
    standardize,
    to_cells,
    to_tensor,
)


def page(height: int = 60, width: int = 160, ground: int = 255) -> np.ndarray:  # type: ignore[type-arg]
    return np.full((height, width, 3), ground, np.uint8)


@pytest.mark.parametrize("shape", [(60, 160), (20, 46), (80, 780), (360, 640), (2, 2), (4000, 3), (50, 320)])
def test_every_size_becomes_one_of_three(shape: tuple[int, int]) -> None:
    picture = page(*shape)
    picture[shape[0] // 3 : shape[0] // 2 + 1, shape[1] // 4 : shape[1] // 2 + 1] = 0
    cells = preprocess(Picture(picture))
    assert cells.shape == (1, HEIGHT // 2, cells.shape[2], 12)
    assert 2 * cells.shape[2] in WIDTHS
    assert cells.dtype == np.uint8


def test_margins_are_cut_away() -> None:
    picture = page(100, 400)
    picture[40:60, 100:180] = 20
    x0, y0, x1, y1 = content_box(picture)
    assert x0 <= 100
    assert x1 >= 180
    assert y0 <= 40
    assert y1 >= 60
    assert x1 - x0 < 100
    assert y1 - y0 < 40


def test_both_polarities_look_the_same() -> None:
    picture = page()
    picture[20:40, 30:60] = 30
    np.testing.assert_allclose(to_tensor(fit(picture)[0]), to_tensor(fit(255 - picture)[0]), atol=0.03)


def test_what_is_served_is_what_was_trained_on_in_levels() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTHS[0], 3), dtype=np.uint8) // 2 + 90
    wanted = np.clip(to_tensor(pixels) * STEPS + ZERO, 0, 255).transpose(1, 2, 0)
    np.testing.assert_allclose(standardize(pixels), wanted, atol=0.51)


def test_a_cell_holds_two_rows_of_two_pixels() -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (HEIGHT, WIDTHS[0], 3), dtype=np.uint8)
    cells = to_cells(pixels)
    assert cells[3, 7].tolist() == [*pixels[6, 14], *pixels[6, 15], *pixels[7, 14], *pixels[7, 15]]


def test_an_animation_shows_every_character_at_once() -> None:
    frames = [page() for _ in range(3)]
    for i, frame in enumerate(frames):
        frame[20:40, 10 + 50 * i : 30 + 50 * i] = 0
    merged = flatten(Picture(frames[0], None, tuple(frames), (None,) * 3))
    assert all((merged[30, 15 + 50 * i] == 0).all() for i in range(3))
    inverted = tuple(255 - frame for frame in frames)
    merged = flatten(Picture(inverted[0], None, inverted, (None,) * 3))
    assert all((merged[30, 15 + 50 * i] == 255).all() for i in range(3))


@pytest.mark.parametrize("form", ["GIF", "PNG"])
@pytest.mark.parametrize(("ink", "ground"), [(255, 0), (0, 255)])
def test_an_animation_on_a_transparent_ground_keeps_its_ink(form: str, ink: int, ground: int) -> None:
    frames = [np.zeros((60, 160, 4), np.uint8) for _ in range(3)]
    for i, frame in enumerate(frames):
        frame[20:40, 10 + 50 * i : 30 + 50 * i] = ink, ink, ink, 255
    first, *others = map(Image.fromarray, frames)
    data = BytesIO()
    first.save(data, form, save_all=True, append_images=others, duration=90, disposal=2)
    merged = flatten(decode(data.getvalue()))
    assert all((merged[30, 15 + 50 * i] == ink).all() for i in range(3))
    assert (merged[5, 5] == ground).all()


def test_white_text_on_a_transparent_ground_is_seen_in_the_alpha_channel() -> None:
    alpha = np.zeros((60, 160), np.uint8)
    alpha[20:40, 30:60] = 255
    seen = flatten(Picture(page(), alpha))
    assert seen[30, 40].tolist() == [0, 0, 0]
    assert seen[5, 5].tolist() == [255, 255, 255]


def test_pale_letters_and_lines_on_a_transparent_ground_are_laid_on_black() -> None:
    alpha = np.zeros((60, 160), np.uint8)
    alpha[20:40, 30:60] = alpha[50:52] = 255
    picture = page()
    picture[50:52] = 140
    seen = flatten(Picture(picture, alpha))
    assert seen[30, 40].tolist() == [255, 255, 255]
    assert seen[5, 5].tolist() == [0, 0, 0]
    # Dark letters stay on white, and so does what is transparent at its corners alone.
    picture[20:40, 30:60] = 20
    assert flatten(Picture(picture, alpha))[5, 5].tolist() == [255, 255, 255]
    alpha[:] = 255
    alpha[:4, :4] = 0
    picture[20:40, 30:60] = 255
    assert flatten(Picture(picture, alpha))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("frame", [None, 90])
@pytest.mark.parametrize(("around", "ground"), [(30, 255), (240, 200), (255, 20)])
def test_a_panel_on_a_screenshot_is_cut_out_before_its_margins(
    around: int, ground: int, frame: int | None
) -> None:
    picture = page(120, 300, around)
    if frame is not None:
        picture[29:91, 69:231] = frame
    picture[30:90, 70:230] = ground
    assert content_box(picture) == (70, 30, 230, 90)
    picture[50:70, 100:180] = 120
    x0, y0, x1, y1 = content_box(picture)
    assert (70 < x0 <= 100, 30 < y0 <= 50, 180 <= x1 < 230, 70 <= y1 < 90) == (True,) * 4


def test_a_text_is_no_panel() -> None:
    picture = page(100, 400)
    picture[40:60, 100:110] = picture[40:60, 170:180] = picture[40:43, 100:180] = 20
    x0, y0, _, _ = content_box(picture)
    assert (x0, y0) < (100, 40)


def test_an_empty_picture_is_no_error() -> None:
    assert np.unique(preprocess(Picture(page()))).tolist() == [ZERO]


def test_the_second_view_is_wider_and_the_third_narrower() -> None:
    picture = page()
    picture[20:40, 30:130] = 0
    first = preprocess(Picture(picture))
    second, third = further_views(Picture(picture), hopeless=False)
    assert 1.25 < second.shape[2] / first.shape[2] < 1.35
    assert 0.75 < third.shape[2] / first.shape[2] < 0.85
    assert second.shape[2] % 2 == third.shape[2] % 2 == 0
    assert not list(further_views(Picture(picture), hopeless=True))


def cluttered() -> np.ndarray:  # type: ignore[type-arg]
    """Red lines all over a wide page, and four small black letters."""
    picture = page(60, 260)
    picture[::7] = picture[:, ::9] = (220, 0, 0)
    for x in (90, 102, 114, 126):
        picture[22:36, x : x + 3] = picture[22:25, x : x + 9] = 0
    return picture


def test_small_text_among_clutter_is_looked_at_closely() -> None:
    box = close_box(cluttered())
    assert box is not None
    x0, y0, x1, y1 = box
    assert 80 <= x0 <= 90
    assert 134 <= x1 <= 145
    assert 15 <= y0 <= 22
    assert 36 <= y1 <= 43
    *_, closer = further_views(Picture(cluttered()), hopeless=False)
    (alone,) = further_views(Picture(cluttered()), hopeless=True)
    assert closer.shape != preprocess(Picture(cluttered())).shape
    np.testing.assert_array_equal(alone, closer)


def test_small_text_is_found_in_a_large_picture_too() -> None:
    large = np.kron(cluttered(), np.ones((5, 5, 1), np.uint8))
    for found, wanted in zip(close_box(large) or (), close_box(cluttered()) or (), strict=True):
        assert abs(found - 5 * wanted) <= 20


def test_a_single_letter_of_a_colour_is_no_text() -> None:
    picture = page(60, 260)
    picture[::7] = (220, 0, 0)
    picture[20:40, 90:104] = 0
    assert close_box(picture) is None
    assert close_box(page()) is None
