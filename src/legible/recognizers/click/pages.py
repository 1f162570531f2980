"""A screenshot shows more than the scene: where that lies on its page, among words, borders and buttons."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# Lines are compared at this size, and so many pixels before and after an edge, which shrinking and JPEG
# soften.
SIDE, SOFT = 400, 2
# Colours as near as this (any channel, of 255) are one. A line of paper has nearly no other, and where a
# scene or a band of words begins, most pixels differ from the paper before them.
SAME, MOST_SAME, DIFFERENT, MOST_DIFFERENT = 14, 0.93, 18, 0.6
# A scene takes so much of its screenshot's sides and area, and holds so much of all that is to be seen there:
# a few things on plain ground are no more than some lines of words.
LEAST_SIDE, LEAST_AREA, MOST_AREA, LEAST_HELD = 0.35, 0.2, 0.97, 0.3
# What is to be seen: pixels around which brightness varies by more than this.
AROUND, VARIED = 9, 6.0

# left, top, right, bottom in pixels.
Box = tuple[int, int, int, int]


def find_scene(rgb: Pixels) -> Box | None:
    """The part of the picture (h, w, 3) that is a scene on paper; None where there is no page around it.

    Paper is peeled off each side in turn, up to the next straight edge, until what is outermost is no paper.
    A scene on plain ground stays whole: nothing in it begins along most of a line.
    """
    if not any(_flat(line) for line in (rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1])):
        return None
    scale = min(1.0, SIDE / max(rgb.shape[:2]))
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    # Top, right, bottom, left: what was peeled off.
    peeled = [0, 0, 0, 0]
    while True:
        before = list(peeled)
        for side in range(4):
            (top, bottom), (left, right) = peeled[::2], peeled[3::-2]
            peeled[side] += _paper(np.rot90(small[top : size[1] - bottom, left : size[0] - right], side))
        if peeled == before:
            break
    if not any(peeled):
        return None
    top, right, bottom, left = peeled
    box = left, top, size[0] - right, size[1] - bottom
    if not _is_scene(box, _varied(small)):
        return None
    left, top, right, bottom = (round(v / scale) for v in box)
    return left, top, right, bottom


def _paper(rgb: Pixels) -> int:
    """How many of the upper lines are paper: 0 where the first is none, or where no straight edge follows in
    the upper half (on plain ground, the next may be that of the paper below)."""
    upper = rgb[: len(rgb) // 2]
    if len(upper) <= 2 * SOFT or not _flat(upper[0]):
        return 0
    changed = (_apart(upper[: -2 * SOFT], upper[2 * SOFT :]) > DIFFERENT).mean(1) >= MOST_DIFFERENT
    for y in np.flatnonzero(changed):
        if _flat(rgb[y]):
            # The edge is where the change is greatest.
            steps = _apart(rgb[y : y + 2 * SOFT], rgb[y + 1 : y + 2 * SOFT + 1]).mean(1)
            return int(y) + int(steps.argmax()) + 1
    return 0


def _apart(first: Pixels, second: Pixels) -> Pixels:
    return np.asarray((np.maximum(first, second) - np.minimum(first, second)).max(-1), np.uint8)


def _flat(line: Pixels) -> bool:
    """Whether a line of pixels (n, 3) is of one colour."""
    return bool((_apart(line, np.median(line, 0).astype(np.uint8)) <= SAME).mean() >= MOST_SAME)


def _varied(rgb: Pixels) -> NDArray[np.bool_]:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean, square = (cv2.blur(each, (AROUND, AROUND)) for each in (grey, grey * grey))
    return np.asarray(square - mean * mean > VARIED**2, np.bool_)


def _is_scene(box: Box, seen: NDArray[np.bool_]) -> bool:
    """Whether a box is as large as a scene, and holds most of what is `seen` (h, w)."""
    left, top, right, bottom = box
    height, width = seen.shape
    share = (right - left) * (bottom - top) / (width * height)
    return bool(
        min((right - left) / width, (bottom - top) / height) >= LEAST_SIDE
        and LEAST_AREA <= share < MOST_AREA
        and seen[top:bottom, left:right].sum() >= LEAST_HELD * seen.sum()
    )
