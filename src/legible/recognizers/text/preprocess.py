"""From a picture to what the text network sees: one merged frame, cropped to its content, at a fixed
height."""

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.images import Picture

HEIGHT = 64
WIDTHS = (128, 176, 224)
INK = 24  # grey levels by which a pixel must differ from the ground in one colour, to be content
LEVELS = np.arange(256, dtype=np.float64)

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
    border.sort(axis=0)
    ground = border[len(border) // 2].astype(np.float64)
    plain = cv2.inRange(rgb, ground - INK, ground + INK)
    columns = np.flatnonzero(cv2.reduce(plain, 0, cv2.REDUCE_MIN)[0] == 0)
    rows = np.flatnonzero(cv2.reduce(plain, 1, cv2.REDUCE_MIN)[:, 0] == 0)
    if not len(columns):
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


def to_tensor(pixels: Pixels) -> NDArray[np.float32]:
    """(3, 64, W): zero mean a channel, unit deviation in all, dark text on light."""
    planes = cv2.split(pixels)
    counts = [
        cv2.calcHist([plane], [0], None, [256], [0, 256]).ravel().astype(np.float64) for plane in planes
    ]
    size = pixels.shape[0] * pixels.shape[1]
    centred = [LEVELS - float(LEVELS @ count) / size for count in counts]
    variance = sum(float((c * c) @ count) for c, count in zip(centred, counts, strict=True)) / (3 * size)
    # Text is the minority of the pixels: the long tail of the brightness shows whether it is light or dark.
    skew = sum(float((c * c * c) @ count) for c, count in zip(centred, counts, strict=True))
    gain = (-1.0 if skew > 0 else 1.0) / (variance**0.5 + 1.0)
    tensor = np.empty((3, *pixels.shape[:2]), np.float32)
    for plane, c, target in zip(planes, centred, tensor, strict=True):
        cv2.LUT(plane, (c * gain).astype(np.float32), dst=target)
    return tensor
