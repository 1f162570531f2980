"""The second picture may be the whole photo instead of a piece: the gap is where the two differ."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.recognizers.slider.decode import Box, Place

# Differences up to this many grey levels are JPEG's own.
NOISE: Final = 12
# A gap is at least this share of the picture's width and height, and at most that share of its area.
SMALLEST, LARGEST = 0.04, 0.3
# The lines around a gap and its inside may be parted by this many pixels.
JOIN: Final = 5
# A gap differs at least this many times as much, in grey levels a pixel, as the rest of the picture; the
# edges of one picture that is saved twice as JPEG do not (seldom over 5 times).
STANDS_OUT: Final = 5
LEAST_NOISE: Final = 0.3
# What the piece covers is so much nearer to the photo at its gap than to what it hides, as a share; of a
# second gap it is not.
MOVED: Final = 0.6


def changed(background: NDArray[np.uint8], whole: NDArray[np.uint8]) -> list[Place]:
    """Where two (H, W, 3) pictures differ, each place with its share of all difference; empty for the same
    picture."""
    difference = cv2.blur(cv2.absdiff(background, whole).max(2), (3, 3)).astype(np.float32) - NOISE
    difference = np.maximum(difference, 0)
    marked = cv2.morphologyEx(
        (difference > 0).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((JOIN, JOIN), np.uint8)
    )
    _, labels, stats, _ = cv2.connectedComponentsWithStats(marked, connectivity=8)
    sums = np.bincount(labels.ravel(), difference.ravel(), len(stats))
    total = max(float(sums.sum()), 1.0)
    height, width = difference.shape
    places = [
        Place(_narrowed(x, y, w, h, difference.shape), float(share) / total)
        for (x, y, w, h, _), share in zip(stats[1:].tolist(), sums[1:], strict=True)
        if w > max(2, SMALLEST * width)
        and h > max(2, SMALLEST * height)
        and w * h <= LARGEST * width * height
    ]
    grey = cv2.absdiff(*(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (background, whole)))
    clear = [place for place in places if _stands_out(place, grey)]  # type: ignore[arg-type]
    return sorted(clear, key=lambda place: -place.probability)[:5]


def _narrowed(x: int, y: int, width: int, height: int, shape: tuple[int, ...]) -> Box:
    """The box that the 3x3 mean has widened by one pixel on each side, but for the picture's own edges."""
    left, right = x + (x > 0), x + width - (x + width < shape[1])
    top, bottom = y + (y > 0), y + height - (y + height < shape[0])
    return left, top, right - left, bottom - top


def without_piece(
    background: NDArray[np.uint8], whole: NDArray[np.uint8], places: list[Place]
) -> tuple[list[Place], int | None]:
    """Those places without the one where the piece lies, and its left edge: the likeliest other one of its
    rows and size is the gap, since what the whole photo has there is what the background shows here."""
    if len(places) > 1 and _alike(places[0], places[1]):
        moved, gap, piece = min(
            (
                (
                    _distance(background, piece, whole, gap) / _distance(background, piece, whole, piece),
                    gap,
                    piece,
                )
                for piece, gap in (places[:2], places[1::-1])
            ),
            key=lambda each: each[0],
        )
        if moved < MOVED:
            return [Place(gap.box, gap.probability + piece.probability), *places[2:]], int(piece.box[0])
    return places, None


def _alike(one: Place, other: Place) -> bool:
    """Whether two places have the same rows and size, but for what `changed` may be off."""
    return all(abs(a - b) <= JOIN for a, b in zip(one.box[1:], other.box[1:], strict=True))


def _distance(background: NDArray[np.uint8], here: Place, whole: NDArray[np.uint8], there: Place) -> float:
    """How far, in levels, what the background shows in one place is from what the photo has in another."""
    width, height = (int(min(sides)) for sides in zip(here.box[2:], there.box[2:], strict=True))
    one, other = (
        picture[int(y) : int(y) + height, int(x) : int(x) + width].astype(np.float32)
        for picture, (x, y, *_) in ((background, here.box), (whole, there.box))
    )
    return float(np.abs(one - other).mean())


def _stands_out(place: Place, difference: NDArray[np.uint8]) -> bool:
    x, y, w, h = (int(side) for side in place.box)
    inside = float(difference[y : y + h, x : x + w].sum())
    outside = float(difference.sum()) - inside
    return inside / (w * h) >= STANDS_OUT * max(outside / (difference.size - w * h), LEAST_NOISE)
