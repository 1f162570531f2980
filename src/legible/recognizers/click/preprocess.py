"""From a picture to the canvas on which objects are sought: at most 256 pixels a side, however large the
picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.images import Picture

SIDE = 256
# A scene of several objects in fewer pixels shows nothing that could be told apart.
LEAST_SIDE = 64


@dataclass(frozen=True, slots=True)
class Canvas:
    """`rgb` (h, w, 3) uint8; `scale`: canvas pixels a pixel of the picture, at most 1; `size`: its width
    and height."""

    rgb: NDArray[np.uint8]
    scale: float
    size: tuple[int, int]


def preprocess(picture: Picture) -> Canvas:
    """The picture, shrunk to at most 256 pixels a side."""
    height, width = picture.rgb.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    rgb = picture.rgb
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Canvas(rgb, scale, (width, height))
