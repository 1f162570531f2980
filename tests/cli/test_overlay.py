"""The picture with the answer on it: what is drawn where, and for what there is nothing to draw."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from legible.cli.common import Failure
from legible.cli.overlay import COLOUR, draw
from legible.cli.read import in_words
from legible.tasks import ClickAnswer, GridAnswer, SliderAnswer, TextAnswer

GREY = (120, 120, 120)


def picture(side: int = 300) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (side, side), GREY).save(target, "PNG")
    return target.getvalue()


def marked(path: Path) -> np.ndarray:
    return (np.asarray(Image.open(path).convert("RGB")) == COLOUR).all(2)


def test_chosen_tiles_have_a_frame_and_the_others_have_none(tmp_path: Path) -> None:
    confidences = (0.9, 0.1, 0.2, 0.1, 0.8, 0.1, 0.1, 0.1, 0.1)
    draw([picture()], GridAnswer("/m/01pns0", 300, confidences, (0, 4), 0.9), tmp_path / "seen.png")
    frames = marked(tmp_path / "seen.png")
    assert frames[0, :100].all()
    assert frames[199, 100:200].all()
    tiles = frames.reshape(3, 100, 3, 100).any((1, 3)).ravel()
    assert list(np.flatnonzero(tiles)) == [0, 4]


def test_every_tile_says_how_sure_it_is(tmp_path: Path) -> None:
    draw([picture(450)], GridAnswer("/m/01pns0", 450, (0.5,) * 16, (), 0.5), tmp_path / "seen.png")
    seen = np.asarray(Image.open(tmp_path / "seen.png").convert("RGB"))
    written = (seen != GREY).any(2)
    corners = [
        written[y * 112 + 4 : y * 112 + 20, x * 112 + 4 : x * 112 + 30] for y in range(4) for x in range(4)
    ]
    assert all(corner.any() for corner in corners)


def test_a_gap_has_a_frame_and_a_point_a_cross(tmp_path: Path) -> None:
    draw([picture()], SliderAnswer((50, 60, 40, 30), 0.9), tmp_path / "gap.png")
    rows, columns = np.nonzero(marked(tmp_path / "gap.png"))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (50, 60, 89, 89)
    draw([picture()], ClickAnswer("q", 0.9, (300, 300), (100, 200)), tmp_path / "point.png")
    assert marked(tmp_path / "point.png")[200, 100]


def test_pictures_that_fit_have_a_frame_among_the_others(tmp_path: Path) -> None:
    fits = (False, True, False, False, True)
    answer = ClickAnswer("q", 0.9, (60, 60), objects=fits, confidences=(0.1, 0.9, 0.1, 0.1, 0.8))
    draw([picture(60)] * 5, answer, tmp_path / "tiles.png")
    frames = marked(tmp_path / "tiles.png")
    assert frames.shape == (120, 180)
    assert list(np.flatnonzero(frames.reshape(2, 60, 3, 60).any((1, 3)).ravel())) == [1, 4]


def test_a_text_has_no_place_in_the_picture(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="has no place"):
        draw([picture()], TextAnswer("abc", 0.9), tmp_path / "text.png")
    assert not (tmp_path / "text.png").exists()


def test_several_points_have_a_cross_each(tmp_path: Path) -> None:
    answer = ClickAnswer("q", 0.9, (300, 300), (50, 60), points=((50, 60), (200, 210)))
    draw([picture()], answer, tmp_path / "points.png")
    crosses = marked(tmp_path / "points.png")
    assert crosses[60, 50]
    assert crosses[210, 200]
    assert in_words(answer) == "50 60, 200 210"
