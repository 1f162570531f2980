"""From a picture to the canvas on which objects are sought: the scene without the page that a screenshot has
around it, at most 256 pixels a side."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.images import Picture
from legible.recognizers.click.pages import find_scene

SIDE = 256
# What the network that finds objects sees, and its coarsest stride.
NETWORK_SIDE, STEP = 224, 16
# A scene of several objects in fewer pixels shows nothing that could be told apart.
LEAST_SIDE = 64


@dataclass(frozen=True, slots=True)
class Canvas:
    """`rgb` (h, w, 3) uint8; `scale`: canvas pixels a pixel of the picture, at most 1; `size`: the picture's
    width and height; `corner`: the x and y in it at which the canvas begins."""

    rgb: NDArray[np.uint8]
    scale: float
    size: tuple[int, int]
    corner: tuple[int, int] = (0, 0)

    def in_picture(self, places: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 3) places x, y and radius in canvas pixels -> the same in those of the picture."""
        corner = np.array([*self.corner, 0], np.float32)
        return np.asarray((places + np.array([0.5, 0.5, 0])) / self.scale + corner, np.float32)


def preprocess(picture: Picture) -> Canvas:
    """The picture's scene, shrunk to at most 256 pixels a side."""
    height, width = picture.rgb.shape[:2]
    left, top, right, bottom = find_scene(picture.rgb) or (0, 0, width, height)
    rgb = picture.rgb[top:bottom, left:right]
    scale = min(1.0, SIDE / max(rgb.shape[:2]))
    if scale < 1:
        size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Canvas(rgb, scale, (width, height), (left, top))


def tensor(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w, 3) -> (1, 4, H, W) in -1..1: the colours, and how common each is in the border; the last row and
    column repeated up to multiples of 16."""
    down, across = (-side % STEP for side in rgb.shape[:2])
    seen = np.dstack([rgb / np.float32(128) - 1, commonness(rgb)])
    whole = cv2.copyMakeBorder(seen, 0, down, 0, across, cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(whole.transpose(2, 0, 1)[None], np.float32)


def commonness(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w) from -1, a colour that the border has not, to 1, the only one there: the background's.

    A colour is one of 32 x 32 x 32 boxes of Lab, and those beside it.
    """
    boxes = np.asarray(cv2.cvtColor(cv2.GaussianBlur(rgb, (0, 0), 0.8), cv2.COLOR_RGB2LAB), np.intp) >> 3
    height, width = boxes.shape[:2]
    edge = max(3, height // 40)
    border = np.ones((height, width), bool)
    border[edge:-edge, edge:-edge] = False
    places = np.ravel_multi_index(tuple(boxes.reshape(-1, 3).T), (32, 32, 32))
    counts = np.bincount(places[border.ravel()], minlength=32**3).reshape(32, 32, 32).astype(np.float32)
    for axis in range(3):
        counts = np.roll(counts, 1, axis) + counts + np.roll(counts, -1, axis)
    share = counts.ravel()[places].reshape(height, width) / border.sum()
    return np.asarray(np.clip(np.log10(share + 1e-4) / 2 + 1, -1, 1), np.float32)
