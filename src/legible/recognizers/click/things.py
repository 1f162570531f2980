"""Free-standing objects on any background: what has a colour that the picture's border has not."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# A colour is one of 32 x 32 x 32 boxes of Lab; one that is found this often in the border belongs to the
# background.
# How often is too often differs with the background: each share of the border's length is tried.
COMMON = (0.003, 0.008, 0.02, 0.05)
# Objects: radius in canvas pixels at least, and as a share of the picture's shorter side at most; how much
# of their box they fill.
LEAST_RADIUS, MOST_RADIUS, LEAST_FILL = 5.0, 0.25, 0.25
MOST = 24
# Radii of one size differ by less than this (logarithm); a scene holds few objects.
ONE_SIZE, FEW = 0.4, 14


@dataclass(frozen=True, slots=True)
class Things:
    """`places` (n, 3): centre x, y and half the longer side; `areas` (n,) in pixels; `mask` (h, w) 0-1:
    where they are."""

    places: Floats
    areas: Floats
    mask: Floats


def find_things(rgb: NDArray[np.uint8]) -> Things:
    """The objects of a canvas, the largest 24 at most; there may be none."""
    counts = _border_counts(rgb)
    found = [_things(rgb, counts < share * sum(rgb.shape[:2])) for share in COMMON]
    return max(found, key=lambda things: _alike(things.places[:, 2]))


def _alike(radii: Floats) -> float:
    """How many are of about one size, less those that are not: what is found in a texture has every size."""
    if not len(radii):
        return -math.inf
    usual = abs(np.log(radii / np.median(radii))) < ONE_SIZE
    return float(usual.sum() - (~usual).sum() - 2 * max(0, len(radii) - FEW))


def _things(rgb: NDArray[np.uint8], rare: NDArray[np.bool_]) -> Things:
    """The objects of a (h, w) map of where colours are rare, cleaned of specks and slits."""
    opened = cv2.morphologyEx(rare.astype(np.uint8), cv2.MORPH_OPEN, _ellipse(3))
    mask = np.asarray(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, _ellipse(5)), np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = sorted(
        (thing for each in outlines if (thing := _thing(np.asarray(each, np.int32), rgb.shape)) is not None),
        reverse=True,
    )
    areas = np.array([area for area, *_ in found[:MOST]], np.float32)
    places = np.array([place for _, *place in found[:MOST]], np.float32).reshape(-1, 3)
    return Things(places, areas, mask.astype(np.float32))


def _thing(outline: NDArray[np.int32], shape: tuple[int, ...]) -> tuple[float, float, float, float] | None:
    x, y, width, height = cv2.boundingRect(outline)
    area, radius = float(cv2.contourArea(outline)), max(width, height) / 2
    if not LEAST_RADIUS <= radius <= MOST_RADIUS * min(shape[:2]) or area < LEAST_FILL * width * height:
        return None
    return area, x + width / 2, y + height / 2, radius


def _border_counts(rgb: NDArray[np.uint8]) -> Floats:
    """(h, w) how many pixels of the border have about this pixel's colour."""
    boxes = np.asarray(cv2.cvtColor(cv2.GaussianBlur(rgb, (0, 0), 0.8), cv2.COLOR_RGB2LAB), np.intp) >> 3
    height, width = boxes.shape[:2]
    edge = max(3, height // 40)
    border = np.ones((height, width), bool)
    border[edge:-edge, edge:-edge] = False
    counts = np.zeros((32, 32, 32), np.float32)
    np.add.at(counts, tuple(boxes[border].T), 1)
    for axis in range(3):
        counts = np.roll(counts, 1, axis) + counts + np.roll(counts, -1, axis)
    return np.asarray(counts[boxes[..., 0], boxes[..., 1], boxes[..., 2]], np.float32)


def _ellipse(side: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
