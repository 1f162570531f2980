"""Slider pictures to what reads them: the tensor of the one-image network, and the outline of a piece for
the matcher."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# The network sees pictures of this width; taller ones are kept to this many pixels in all.
WIDTH = 256
MAX_AREA = 256 * 256
# Sides of the tensor are multiples of this, the network's coarsest stride.
MULTIPLE = 16


# A second look at a place: its box and this much around it, as a square of CLOSE pixels.
CLOSE, VIEW = 64, 1.6


@dataclass(frozen=True, slots=True)
class Canvas:
    """`pixels` (h, w, 3) and, padded, the `tensor` (1, 3, H, W) float32 in -1..1; times
    `scale` to get pixels of the picture that was sent."""

    pixels: NDArray[np.uint8]
    tensor: NDArray[np.float32]
    scale: tuple[float, float]


def shrunk(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The (H, W, 3) picture at the size the network sees, before padding."""
    height, width = rgb.shape[:2]
    factor = min(WIDTH / width, math.sqrt(MAX_AREA / (width * height)))
    size = max(MULTIPLE, round(width * factor)), max(MULTIPLE, round(height * factor))
    if size == (width, height):
        return rgb
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(rgb, size, interpolation=method).astype(np.uint8, copy=False)


def padded(rgb: NDArray[np.uint8], multiple: int = MULTIPLE) -> NDArray[np.uint8]:
    """The picture with its last row and column repeated until both sides are multiples of `multiple`."""
    height, width = rgb.shape[:2]
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return rgb
    return cv2.copyMakeBorder(rgb, 0, bottom, 0, right, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


def tensor(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, H, W, 3) pixels as (N, 3, H, W) in -1..1."""
    return np.ascontiguousarray(rgb.transpose(0, 3, 1, 2), np.float32) / 127.5 - 1


def close(
    rgb: NDArray[np.uint8], box: tuple[float, float, float, float]
) -> tuple[NDArray[np.uint8], tuple[float, float, float, float]]:
    """(CLOSE, CLOSE, 3) pixels of a box x y w h and its surroundings, and x y w h of what they show."""
    x, y, width, height = box
    across, down = max(width, 4.0) * VIEW, max(height, 4.0) * VIEW
    left, top = x + width / 2 - across / 2, y + height / 2 - down / 2
    # Pixel centres stand half a pixel inside their pixels.
    sx, sy = across / CLOSE, down / CLOSE
    matrix = np.array([[sx, 0, left + sx / 2 - 0.5], [0, sy, top + sy / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(rgb, matrix, (CLOSE, CLOSE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, np.uint8), (left, top, across, down)


def preprocess(rgb: NDArray[np.uint8]) -> Canvas:
    """The (H, W, 3) picture as the network sees it."""
    small = shrunk(rgb)
    scale = rgb.shape[1] / small.shape[1], rgb.shape[0] / small.shape[0]
    return Canvas(small, tensor(padded(small)[None]), scale)


@dataclass(frozen=True, slots=True)
class Piece:
    """The visible part of a piece's picture: `rgb` (h, w, 3), `mask` (h, w) 0 or 1, where its box begins
    (`x`, `y`), and the `height` of the whole picture.

    `outlined` is False for a picture with nothing transparent or plain around the piece: the mask is all.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    x: int
    y: int
    height: int
    outlined: bool


# An opaque picture shows its paper where at least this share of its edge has one colour, give or take this
# much.
PAPER_SHARE = 0.5
PAPER_TOLERANCE = 14
# Specks smaller than this share of the piece are not part of it.
SPECK = 0.05
LEAST_SIDE = 10  # pixels of a piece


def piece(
    rgb: NDArray[np.uint8], alpha: NDArray[np.uint8] | None, tolerance: int = PAPER_TOLERANCE
) -> Piece | None:
    """The visible part of a (H, W, 3) picture, by its (H, W) alpha or, without one, by its paper, from which
    it differs by more than the `tolerance` (grey levels); None if it is empty."""
    mask = _by_alpha(alpha) if alpha is not None else None
    if mask is None:
        mask = _by_paper(rgb, tolerance)
    mask = _without_specks(mask)
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return None
    part = slice(y, y + height), slice(x, x + width)
    return Piece(rgb[part], mask[part], x, y, rgb.shape[0], not mask.all())


def _by_alpha(alpha: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """None when nothing is transparent. Half of the strongest alpha is the limit: shadows lie under it."""
    if alpha.min() > 250:
        return None
    return (alpha > max(20, int(alpha.max()) // 2)).astype(np.uint8)


def _by_paper(rgb: NDArray[np.uint8], tolerance: int) -> NDArray[np.uint8]:
    """What is left after the plain colour around the piece, if there is one, is poured away from the edge."""
    whole = np.ones(rgb.shape[:2], np.uint8)
    edge = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]]).astype(np.int16)
    paper = np.median(edge, axis=0)
    if (np.abs(edge - paper).max(1) <= PAPER_TOLERANCE).mean() < PAPER_SHARE:
        return whole
    like_paper = (np.abs(rgb.astype(np.int16) - paper).max(2) <= tolerance).astype(np.uint8)
    _, labels = cv2.connectedComponents(like_paper, connectivity=4)
    at_edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    left = (~np.isin(labels, at_edge[at_edge > 0])).astype(np.uint8)
    # Half of the tolerance is JPEG's own ringing around the piece.
    left = cv2.morphologyEx(left, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(np.uint8)
    # A plain sky is no paper: too little is left of such a piece.
    _, _, width, height = cv2.boundingRect(left)
    return left if left.mean() > 0.03 and min(width, height) >= LEAST_SIDE else whole


def _without_specks(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 2:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = 1 + np.flatnonzero(areas >= SPECK * areas.max())
    return np.isin(labels, kept).astype(np.uint8)
