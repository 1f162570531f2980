"""From a picture to what the text network sees: one merged frame, cropped to its content, at a fixed
height."""

import math
from collections.abc import Iterator
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.images import Picture

HEIGHT = 64
WIDTHS = (128, 176, 224)
# The second view: letters that were squeezed or touch get more frames. The third: wide ones fewer.
WIDER, NARROWER = 1.3, 0.8
PANELS = 3  # so many grounds may lie in one another, as around a captcha on a screenshot
LEAST_PANEL = 12, 24, 0.08  # its height and width in pixels, and its share of what it lies on
EDGE, STRAIGHT = 3, 0.9  # one of so many first lines differs from the ground around it at least so far along
PALE, SOLID = 215, 200  # levels of an ink that white would hide, and of an alpha that hides what is behind
INK = 24  # grey levels by which a pixel must differ from the ground in one colour, to be content
# A colour, of 64, that may be that of a small text: its share of the picture, and of the border at most; how
# much of its box it fills, what part of the picture that is, and how many times longer than high.
LEAST_SHARE, MOST_SHARE, GROUND, CLOSE, SMALL, LONG = 0.008, 0.25, 0.15, 0.12, 0.35, 2.0
ENOUGH = 40_000  # pixels to find that colour by
STEPS, ZERO = 50.95, 188  # the network's input in 8 bits: steps a deviation, and the level of the mean

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x0, y0, x1, y1


def preprocess(picture: Picture) -> Pixels:
    """(1, 32, W / 2, 12) standardized levels in cells of 2x2 pixels, W one of `WIDTHS`."""
    return _levels(fit(flatten(picture))[0])


def further_views(picture: Picture, hopeless: bool) -> Iterator[Pixels]:
    """What else to show of a picture whose view was not read surely, each made when it is asked for: a wider
    and a narrower view, unless that is `hopeless`, and where one colour is close together, what it fills."""
    rgb = flatten(picture)
    content = _cut(rgb, content_box(rgb))
    if not hopeless:
        yield _levels(stretched(content, WIDER))
        yield _levels(stretched(content, NARROWER))
    close = close_box(content)
    if close is not None:
        yield _levels(fit(_cut(content, close))[0])


def _levels(pixels: Pixels) -> Pixels:
    return to_cells(standardize(pixels))[None]


def _cut(rgb: Pixels, box: Box) -> Pixels:
    x0, y0, x1, y1 = box
    return rgb[y0:y1, x0:x1]


def flatten(picture: Picture) -> Pixels:
    """The one (H, W, 3) picture that holds the text: the frames of an animation merged, or what
    transparency shows."""
    if len(picture.frames) > 1:
        return _merged(_on_their_ground(picture))
    if picture.alpha is None:
        return picture.rgb
    if int(picture.rgb.max()) - int(picture.rgb.min()) < 8:
        # White text on a transparent ground vanishes on white: the shape is in the alpha channel alone.
        return np.repeat(255 - picture.alpha[:, :, None], 3, axis=2)
    return _on_black(picture.rgb, picture.alpha) if _is_for_dark(picture.rgb, picture.alpha) else picture.rgb


def _on_their_ground(picture: Picture) -> tuple[Pixels, ...]:
    """The frames of an animation, on black if most of those that draw something were drawn for it."""
    drawn = [
        (rgb, alpha)
        for rgb, alpha in zip(picture.frames, picture.alphas, strict=True)
        if alpha is not None and alpha.any()
    ]
    if 2 * sum(_is_for_dark(*each) for each in drawn) <= len(drawn):
        return picture.frames
    return tuple(
        rgb if alpha is None else _on_black(rgb, alpha)
        for rgb, alpha in zip(picture.frames, picture.alphas, strict=True)
    )


def _is_for_dark(rgb: Pixels, alpha: Pixels) -> bool:
    """Whether most of what is drawn on a transparent ground is of a colour that is hardly seen on white."""
    solid = alpha > SOLID
    pale = rgb[solid].min(1) > PALE
    return float((alpha < 128).mean()) > 0.5 and len(pale) > 0 and float(pale.mean()) > 0.5


def _on_black(rgb: Pixels, alpha: Pixels) -> Pixels:
    """What was flattened on white, flattened on black."""
    return cv2.subtract(rgb, cv2.cvtColor(255 - alpha, cv2.COLOR_GRAY2RGB))  # type: ignore[return-value]


def _merged(frames: tuple[Pixels, ...]) -> Pixels:
    """Characters that come and go, all at once: the darkest of (H, W, 3) frames, or the lightest on a dark
    ground."""
    darkest: Pixels = reduce(cv2.min, frames)  # type: ignore[arg-type]
    lightest: Pixels = reduce(cv2.max, frames)  # type: ignore[arg-type]
    ground = _ground(frames[0])
    return darkest if _distance(darkest, ground) >= _distance(lightest, ground) else lightest


def _distance(rgb: Pixels, colour: Pixels) -> float:
    """How far the pixels are from that colour, on the whole."""
    return float(np.abs(rgb.astype(np.int16) - colour).sum())


def _ground(rgb: Pixels) -> Pixels:
    """The colour (3,) of the ground: the median of the border."""
    border = np.concatenate((rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]))
    middle = len(border) // 2
    border.partition(middle, axis=0)
    ground: Pixels = border[middle]
    return ground


def content_box(rgb: Pixels) -> Box:
    """What differs from the picture's ground, with a margin; the whole picture if it is busy. Where that is a
    panel with a ground of its own, as on a screenshot, what differs from that."""
    left, top, bottom, right = 0, 0, *rgb.shape[:2]
    for _ in range(PANELS):
        panel = rgb[top:bottom, left:right]
        ink = _ink(panel)
        found = _panel(ink)
        if found is None:
            break
        x0, y0, x1, y1 = found
        left, top, right, bottom = left + x0, top + y0, left + x1, top + y1
    else:
        return left, top, right, bottom
    x, y, columns, rows = cv2.boundingRect(ink)
    margin = max(2, round(0.12 * rows))
    x0, x1 = max(left, left + x - margin), min(right, left + x + columns + margin)
    y0, y1 = max(top, top + y - margin), min(bottom, top + y + rows + margin)
    if not columns or x1 - x0 < 8 or y1 - y0 < 8:
        return left, top, right, bottom
    return x0, y0, x1, y1


def _ink(rgb: Pixels) -> Pixels:
    """(H, W) 255 where a pixel differs from the ground, else 0."""
    ground = _ground(rgb).astype(np.float64)
    plain = cv2.inRange(rgb, ground - INK, ground + INK)
    return cv2.bitwise_not(plain, dst=plain)  # type: ignore[return-value]


def _panel(ink: Pixels) -> Box | None:
    """The rectangle with straight edges that all ink (H, W) lies in, none of it outside; None if there is
    none."""
    x, y, columns, rows = cv2.boundingRect(ink)
    height, width, share = LEAST_PANEL
    if (rows, columns) == ink.shape or rows < height or columns < width or rows * columns < share * ink.size:
        return None
    inside = ink[y : y + rows, x : x + columns]
    edges = []
    for lines in (inside, inside[::-1], inside.T, inside[:, ::-1].T):
        edge = _straight(lines)
        if edge is None:
            return None
        edges.append(edge)
    top, bottom, left, right = edges
    return x + left, y + top, x + columns - right, y + rows - bottom


def _straight(lines: Pixels) -> int | None:
    """Which of the first lines is the edge of a panel."""
    filled = np.flatnonzero(lines[:EDGE].mean(1) >= STRAIGHT * 255)
    return int(filled[0]) if len(filled) else None


def close_box(content: Pixels) -> Box | None:
    """Where the colour is that is closest together, with a margin: small text among clutter of other colours.
    None where no colour fills a small part of the (H, W, 3) content that has the shape of a text."""
    # Of a large picture some of the pixels do.
    step = math.ceil(math.sqrt(content.size / 3 / ENOUGH))
    levels = content[::step, ::step] >> 6
    colours = levels[..., 0] * 16 + levels[..., 1] * 4 + levels[..., 2]
    height, width = colours.shape
    border = np.concatenate((colours[0], colours[-1], colours[:, 0], colours[:, -1]))
    share = np.bincount(colours.ravel(), minlength=64) / colours.size
    grounds = np.bincount(border, minlength=64) > GROUND * len(border)
    closest, box = CLOSE, None
    by_column, by_row = _counts(colours.T), _counts(colours)
    for colour in np.flatnonzero((share > LEAST_SHARE) & (share < MOST_SHARE) & ~grounds):
        x0, x1 = _middle(by_column[:, colour])
        y0, y1 = _middle(by_row[:, colour])
        part = (x1 - x0) * (y1 - y0) / colours.size
        filled = share[colour] / part
        if filled > closest and part < SMALL and x1 - x0 > LONG * (y1 - y0):
            closest, box = filled, (x0, y0, x1, y1)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    margin = max(2, (y1 - y0) // 4)
    x0, y0, x1, y1 = (
        max(0, x0 - margin),
        max(0, y0 - margin),
        min(width, x1 + margin),
        min(height, y1 + margin),
    )
    bottom, right = content.shape[:2]
    return step * x0, step * y0, min(right, step * x1), min(bottom, step * y1)


def _counts(colours: Pixels) -> NDArray[np.intp]:
    """(N, M) of 64 colours -> (N, 64) how often each is in each row."""
    rows = np.arange(len(colours))[:, None] * 64
    return np.bincount((colours + rows).ravel(), minlength=64 * len(colours)).reshape(-1, 64)


def _middle(counts: NDArray[np.intp]) -> tuple[int, int]:
    """From where to where 96% of them are, so that a few dots elsewhere do not count."""
    gathered = counts.cumsum()
    first, last = np.searchsorted(gathered, (0.02 * gathered[-1], 0.98 * gathered[-1]))
    return int(first), int(last) + 1


def fit(rgb: Pixels) -> tuple[Pixels, Box]:
    """The content at (64, W, 3), W one of `WIDTHS`, and the box it was cut from."""
    box = content_box(rgb)
    return stretched(_cut(rgb, box)), box


def stretched(content: Pixels, by: float = 1.0) -> Pixels:
    """(64, W, 3), W the narrowest of `WIDTHS` that keeps the content's shape, times `by`: a multiple of 4."""
    height, width = content.shape[:2]
    shape = next((w for w in WIDTHS if w >= 0.9 * HEIGHT * width / height), WIDTHS[-1])
    size = 4 * round(shape * by / 4), HEIGHT
    interpolation = cv2.INTER_AREA if height > HEIGHT * 1.2 else cv2.INTER_LINEAR
    return cv2.resize(content, size, interpolation=interpolation)  # type: ignore[return-value]


def contrast(pixels: Pixels) -> tuple[float, NDArray[np.float64]]:
    """What (64, W, 3) pixels are to be multiplied by, after the mean (3,) of each channel is taken away:
    unit deviation in all, dark text on light."""
    mean = np.array(cv2.mean(pixels))
    centred = np.ravel(cv2.subtract(pixels, mean, dtype=cv2.CV_32F))
    square = centred * centred
    deviation = (float(square.sum()) / square.size) ** 0.5
    # Text is the minority of the pixels: the long tail of the brightness shows whether it is light or dark.
    sign = -1.0 if float(square @ centred) > 0 else 1.0
    return sign / (deviation + 1.0), mean[:3]


def standardize(pixels: Pixels) -> Pixels:
    """The same pixels with their contrast evened out, in the levels that the network sees."""
    gain, mean = contrast(pixels)
    gain *= STEPS
    return cv2.transform(pixels, np.column_stack((gain * np.eye(3), ZERO - gain * mean)))  # type: ignore[return-value]


def to_cells(levels: Pixels) -> Pixels:
    """(64, W, 3) -> (32, W / 2, 12): the first layer is faster on cells of 2x2 pixels."""
    rows = levels.reshape(HEIGHT, -1, 6)
    return cv2.merge((rows[0::2], rows[1::2]))  # type: ignore[return-value]


def to_tensor(pixels: Pixels) -> NDArray[np.float32]:
    """(3, 64, W) standardized pixels, not yet in levels: what training sees."""
    gain, mean = contrast(pixels)
    return np.ascontiguousarray(((pixels - mean) * gain).transpose(2, 0, 1), np.float32)
