"""What stays of an object that is turned: two views of a box are nearer to each other than to a ball."""

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.recognizers.click.looks import numbers, unlike_in_looks
from legible.recognizers.click.model import lab_of, polar
from legible.recognizers.click.things import Things

SIDE, RADIUS = 60, 25.0
RED = np.array([200, 60, 40])
Image = NDArray[np.uint8]


def box(turn: float) -> tuple[Image, Image]:
    """(SIDE, SIDE, 3) a box seen from above, turned about its upright axis, and its mask."""
    picture, mask = np.full((SIDE, SIDE, 3), 120, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    angles = np.array([0, np.pi / 2, np.pi, 3 * np.pi / 2]) + turn
    low = np.stack([17 * np.cos(angles), 9 * np.sin(angles)], 1) + SIDE / 2 + [0, 11]
    high = low - [0, 22]
    for first in np.argsort(np.sin(angles + np.pi / 4)):
        face = np.array([low[first], low[first - 3], high[first - 3], high[first]])
        shade = 0.7 + 0.3 * np.cos(angles[first] + np.pi / 4)
        fill(picture, mask, face, shade)
    fill(picture, mask, high, 1.2)
    return picture, mask


def fill(picture: Image, mask: Image, face: NDArray[np.float64], shade: float) -> None:
    corners = np.rint(face * 16).astype(np.int32)
    colour = tuple(int(v) for v in np.minimum(RED * shade, 255))
    cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA, 4)
    cv2.fillPoly(mask, [corners], (1,), cv2.LINE_8, 4)


def ball() -> tuple[Image, Image]:
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    mask = (np.hypot(x, y) < 20).astype(np.uint8)
    light = np.clip(0.75 - 0.02 * x - 0.02 * y, 0.3, 1.2)[..., None]
    return np.where(mask[..., None] > 0, np.minimum(RED * light, 255), 120).astype(np.uint8), mask


def seen(*drawn: tuple[Image, Image]) -> tuple[Image, Things]:
    """The pictures side by side, and where their things are."""
    mask = np.hstack([each for _, each in drawn]).astype(np.float32)
    places = [(SIDE * (place + 0.5) - 0.5, (SIDE - 1) / 2, RADIUS) for place in range(len(drawn))]
    count = len(drawn)
    things = Things(
        np.array(places, np.float32), np.ones(count, np.float32), mask, np.ones(count, np.float32)
    )
    return np.ascontiguousarray(np.hstack([picture for picture, _ in drawn])), things


def test_a_box_that_is_turned_is_nearer_to_itself_than_to_a_ball() -> None:
    picture, things = seen(*(box(turn) for turn in (0.2, 0.6, 1.0, 1.4)), ball())
    lab = lab_of(picture)
    unlike = unlike_in_looks(lab, things.mask, things.places, polar(lab, things)[0])
    boxes = unlike[:4, :4][~np.eye(4, dtype=bool)]
    assert unlike.shape == (5, 5)
    assert unlike[4, :4].min() > boxes.max()


def test_a_quarter_turn_of_the_picture_changes_nothing() -> None:
    picture, things = seen(box(0.3))
    turned = np.ascontiguousarray(np.rot90(picture))
    around = Things(things.places, things.areas, np.ascontiguousarray(np.rot90(things.mask)), things.chances)
    first, second = (
        numbers(lab_of(rgb), them.mask, them.places, polar(lab_of(rgb), them)[0])
        for rgb, them in ((picture, things), (turned, around))
    )
    assert np.allclose(first, second, atol=0.03)


def test_an_object_at_the_edge_has_finite_numbers() -> None:
    picture, things = seen(box(0.3))
    places = np.array([[0, 0, 25], [SIDE - 1, SIDE - 1, 3], [-4, 30, 2]], np.float32)
    edge = Things(places, np.ones(3, np.float32), things.mask, np.ones(3, np.float32))
    lab = lab_of(picture)
    assert np.isfinite(numbers(lab, edge.mask, places, polar(lab, edge)[0])).all()
