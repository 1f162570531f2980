"""From a picture to what the text network sees: one merged frame, cropped to its content, at a fixed
height."""

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.images import Picture

HEIGHT = 64
WIDTHS = (128, 176, 224)

Pixels = NDArray[np.uint8]


def preprocess(picture: Picture) -> NDArray[np.float32]:
    """(1, 3, 64, W) standardized pixels, W one of `WIDTHS`."""
    return to_tensor(fit(flatten(picture))[0])[None]


def flatten(picture: Picture) -> Pixels:
    """The one (H, W, 3) picture that holds the text: the frames of an animation merged, or what
    transparency shows."""
    if len(picture.frames) > 1:
        return _merged(np.stack(picture.frames))
    if picture.alpha is not None and int(picture.rgb.max()) - int(picture.rgb.min()) < 8:
        # White text on a transparent ground vanishes on white: the shape is in the alpha channel alone.
        return np.repeat(255 - picture.alpha[:, :, None], 3, axis=2)
    return picture.rgb


def _merged(frames: Pixels) -> Pixels:
    """Characters that come and go, all at once: the darkest of (N, H, W, 3) frames, or the lightest on a
    dark ground."""
    darkest: Pixels = frames.min(0)
    lightest: Pixels = frames.max(0)
    ground = np.median(frames[0], axis=(0, 1))
    return darkest if np.abs(darkest - ground).mean() >= np.abs(lightest - ground).mean() else lightest


def content_box(rgb: Pixels) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of what differs from the picture's border, with a margin; the whole picture if it is
    busy."""
    height, width = rgb.shape[:2]
    border = np.concatenate((rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]))
    ground = np.median(border, axis=0)
    ink = np.abs(rgb.astype(np.int16) - ground.astype(np.int16)).max(2) > 24
    columns, rows = np.flatnonzero(ink.any(0)), np.flatnonzero(ink.any(1))
    if not len(columns) or not len(rows):
        return 0, 0, width, height
    margin = max(2, round(0.12 * (rows[-1] + 1 - rows[0])))
    x0, x1 = max(0, int(columns[0]) - margin), min(width, int(columns[-1]) + 1 + margin)
    y0, y1 = max(0, int(rows[0]) - margin), min(height, int(rows[-1]) + 1 + margin)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return 0, 0, width, height
    return x0, y0, x1, y1


def fit(rgb: Pixels) -> tuple[Pixels, tuple[int, int, int, int]]:
    """The content at (64, W, 3), W the narrowest of `WIDTHS` that keeps its shape, and the box it was cut
    from."""
    box = content_box(rgb)
    x0, y0, x1, y1 = box
    part = rgb[y0:y1, x0:x1]
    wanted = HEIGHT * (x1 - x0) / (y1 - y0)
    width = next((w for w in WIDTHS if w >= 0.9 * wanted), WIDTHS[-1])
    shrinks = y1 - y0 > HEIGHT * 1.2
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(part, (width, HEIGHT), interpolation=interpolation).astype(np.uint8), box


def standard(pixels: Pixels) -> tuple[NDArray[np.float32], float]:
    """What to subtract from each channel, and by what to multiply, for zero mean, unit deviation and dark
    text on light."""
    x = pixels.reshape(-1, 3).astype(np.float32)
    mean = x.mean(0)
    x -= mean
    square = x * x
    gain = 1.0 / (float(np.sqrt(square.mean())) + 1.0)
    # Text is the minority of the pixels, so the long tail of the brightness shows whether it is light or
    # dark.
    return mean, -gain if float((square * x).mean()) > 0 else gain


def to_tensor(pixels: Pixels) -> NDArray[np.float32]:
    """(3, 64, W): standardized by `standard`."""
    mean, gain = standard(pixels)
    return np.ascontiguousarray(((pixels.astype(np.float32) - mean) * np.float32(gain)).transpose(2, 0, 1))
