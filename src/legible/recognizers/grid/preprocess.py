"""Grid pictures to tensors: tiles cut out and made 128 pixels wide, or the whole scene at 80 pixels a
cell."""

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.errors import InvalidImage, RecognitionFailed

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

# Pixels of the picture that is sent: how many tiles it has across.
ACROSS = {100: 1, 300: 3, 450: 4}
# With this many the picture is one scene; with fewer, every tile is a picture of its own.
SCENE = 4
TILE_PX = 128
SCENE_PX = 320
# A picture whose colours differ by less, in grey levels of standard deviation, shows nothing.
PLAIN = 2.0


def across(rgb: Pixels) -> int:
    """1, 3 or 4 tiles across a (H, W, 3) picture; raises `InvalidImage` for any other size."""
    height, width = rgb.shape[:2]
    if height != width or width not in ACROSS:
        raise InvalidImage(
            "image", got=f"{width}x{height} pixels", allowed="100x100, 300x300 or 450x450 pixels"
        )
    return ACROSS[width]


def check_not_plain(rgb: Pixels) -> None:
    """Raises `RecognitionFailed` for a picture of a single colour."""
    if float(cv2.meanStdDev(rgb)[1].max()) < PLAIN:
        raise RecognitionFailed(
            "the picture has a single colour: there is nothing to be seen in it", confidence=0.0
        )


def tiles(rgb: Pixels, count: int) -> Pixels:
    """(N, h, w, 3): the picture cut into count x count tiles, left to right, top to bottom."""
    side = rgb.shape[0] // count
    cut = rgb.reshape(count, side, count, side, 3).swapaxes(1, 2)
    return cut.reshape(count * count, side, side, 3)


def tensor(pixels: Pixels) -> Floats:
    """(N, h, w, 3) tiles -> (N, 3, 128, 128) in -1..1."""
    return scaled(pixels, TILE_PX)


def scene_tensor(rgb: Pixels) -> Floats:
    """A (h, w, 3) scene -> (1, 3, 320, 320) in -1..1."""
    return scaled(rgb[None], SCENE_PX)


def scaled(pixels: Pixels, side: int) -> Floats:
    """(N, h, w, 3) pictures -> (N, 3, side, side) in -1..1."""
    method = cv2.INTER_AREA if pixels.shape[1] > side else cv2.INTER_LINEAR
    resized = np.stack([cv2.resize(each, (side, side), interpolation=method) for each in pixels])
    values: Floats = np.ascontiguousarray(resized.transpose(0, 3, 1, 2), np.float32)
    values /= 128
    values -= 1
    return values
