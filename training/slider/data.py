"""Slider pictures with known answers: a background, a gap, decoys, the piece, and sometimes a page around.

python -m training.slider.data sheet FOLDER sheet.png          a sheet to look at
python -m training.slider.data render FOLDER SHARDS --count 8  shards for training
python -m training.slider.data samples - tests/recognizers/samples/slider  pictures without photos
python -m training.slider.data pictures FOLDER PICTURES --held-out --count 500  two families for the benchmark
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from training.slider import shapes
from training.slider.photos import Photos, Pixels, background, colour, load
from training.slider.shapes import Mask

from legible.recognizers.slider.preprocess import WIDTH, padded, shrunk

Box = tuple[float, float, float, float]
Form = Literal["bare", "screenshot", "two", "empty"]
# Weights of red, green and blue.
GREY = (0.299, 0.587, 0.114)

# Scenes a shard; heights of its pictures are rounded up to a multiple of `BUCKET`, so that they make batches.
SHARD = 1024
BUCKET = 32
# What the one-image network is trained on, and how much of each.
FORMS: tuple[Form, ...] = ("bare", "screenshot", "empty")
FORM_SHARES = (0.47, 0.4, 0.13)
# Shards of held-out photos are numbered from here.
HELD_OUT_SEED = 900_000
SAMPLES_SEED = 23
PICTURES_SEED = 910_000
# How often each number of decoys is drawn.
DECOYS = (0.66, 0.2, 0.1, 0.04)
# The smallest and largest gap, as a share of the picture's width.
GAP = (0.08, 0.32)
# Share of the gaps that show a part of some other picture.
OTHER_PHOTO = 0.04
# Share of the gaps that touch the right edge, and of those that touch the upper or lower one.
FLUSH = 0.07


@dataclass(frozen=True, slots=True)
class Scene:
    """`image` as a caller sends it, with the x y w h of the gap, decoys and visible piece in its pixels.

    `piece` is the second picture: (h, w, 4) RGBA or (h, w, 3) without alpha; `rows_agree` tells that it is a
    strip of the same height in which the piece stands at the gap's y.
    """

    image: Pixels
    gap: Box | None
    decoys: tuple[Box, ...] = ()
    visible: Box | None = None
    piece: Pixels | None = None
    rows_agree: bool = False


def scene(rng: np.random.Generator, photos: Photos, form: Form) -> Scene:
    """One random picture of that form."""
    width = int(rng.integers(240, 361))
    height = int(np.clip(width * rng.uniform(0.42, 0.75), 110, 260))
    scale = 1.0 if rng.random() < 0.7 else rng.uniform(1, 2.2)
    width, height = round(width * scale), round(height * scale)
    picture = background(rng, photos, width, height)
    if form == "empty":
        return _finished(rng, _empty(rng, picture, scale))
    mask = _mask(rng, width, height)
    # The gap stands to the right of where the piece starts, at any row.
    x, y = _place(rng, width - mask.shape[1], height - mask.shape[0], round(0.15 * width))
    look = Look(rng, scale, background(rng, photos, width, height) if rng.random() < OTHER_PHOTO else None)
    cut = picture.astype(np.float32)
    boxes = _decoys(rng, cut, look, mask, (x, y))
    look.cut(cut, mask, x, y)
    gap: Box = (x, y, mask.shape[1], mask.shape[0])
    image = np.clip(cut, 0, 255).astype(np.uint8)
    if not _visible(image, picture, mask, x, y):
        return scene(rng, photos, form)
    if form == "two":
        piece, rows_agree = _piece(rng, picture, mask, x, y, scale)
        return _finished(rng, Scene(image, gap, boxes, None, piece, rows_agree))
    if form == "bare":
        return _finished(rng, Scene(image, gap, boxes))
    return _finished(rng, _screenshot(rng, image, picture, mask, gap, boxes, scale))


def _place(rng: np.random.Generator, right: int, bottom: int, left: int) -> tuple[int, int]:
    """Anywhere from `left`, and somewhat more often than by chance where the picture ends."""
    x = right if rng.random() < FLUSH else int(rng.integers(min(left, right), right + 1))
    y = bottom * int(rng.integers(2)) if rng.random() < FLUSH else int(rng.integers(0, bottom + 1))
    return x, y


def _visible(image: Pixels, picture: Pixels, mask: Mask, x: int, y: int) -> bool:
    """Whether the gap can be seen at all: black on black cannot."""
    part = slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1])
    change = np.abs(image[part].astype(np.int16) - picture[part]).mean(2)
    return bool(change[mask > 0.5].mean() >= 4)


def _mask(rng: np.random.Generator, width: int, height: int) -> Mask:
    w = width * np.exp(rng.uniform(np.log(GAP[0]), np.log(GAP[1])))
    h = w * (rng.uniform(0.75, 1.33) if rng.random() < 0.5 else 1)
    shrink = min(1, 0.8 * height / h)
    return shapes.draw(rng, max(14, w * shrink), max(14, h * shrink))


# How gaps are filled, and how often.
FILLS = {
    "dark": 0.22, "blend": 0.21, "flat": 0.09, "blur": 0.07, "faint": 0.12, "light": 0.07, "other": 0.04,
    "mosaic": 0.02, "none": 0.07, "grey": 0.03, "slope": 0.03, "grain": 0.03,
}  # fmt: skip


class Look:
    """How the gaps of one picture are painted. Every decoy is painted like the gap, or nearly."""

    def __init__(self, rng: np.random.Generator, scale: float, photo: Pixels | None = None) -> None:
        self.rng, self.scale, self.photo = rng, scale, photo
        self.fill = str(rng.choice(list(FILLS), p=list(FILLS.values())))
        self.fill = self.fill if photo is None else "photo"
        self.factor = rng.uniform(0.25, 0.85)
        self.alpha = rng.uniform(0.5, 0.95) if rng.random() < 0.7 else rng.uniform(0.25, 0.5)
        shade = [(0.0,) * 3, (128.0,) * 3, (255.0,) * 3, tuple(map(float, colour(rng)))][
            rng.choice(4, p=[0.4, 0.15, 0.3, 0.15])
        ]
        self.shade = np.array(shade, np.float32)
        self.faint = rng.uniform(0.05, 0.12) * rng.choice([-1, 1])
        self.blur = rng.uniform(1.5, 6) * scale
        self.shadow = rng.uniform(0.2, 0.8) if rng.random() < 0.3 else 0
        self.shadow_shift = rng.uniform(-4, 4, 2) * scale if rng.random() < 0.5 else np.zeros(2)
        self.shadow_width = rng.uniform(1.5, 6) * scale
        self.emboss = rng.uniform(0.15, 0.6) if rng.random() < 0.15 else 0
        self.soft = rng.uniform(0.4, 1.2) * scale if rng.random() < 0.25 else 0
        # With no fill there must be a line, or there is no gap to see.
        lined = self.fill == "none" or rng.random() < 0.45
        self.line = rng.uniform(0.3, 1) if lined else 0
        self.line = max(self.line, 0.6) if self.fill == "none" else self.line
        self.line_width = rng.uniform(0.7, 2.2) * scale
        # A dashed line: this many dashes, or 0.
        self.dashes = int(rng.integers(6, 30)) if rng.random() < 0.08 else 0
        self.slope = rng.uniform(-1, 1, 2)
        line = [(255.0,) * 3, (0.0,) * 3, tuple(map(float, colour(rng)))][rng.choice(3, p=[0.65, 0.2, 0.15])]
        self.line_shade = np.array(line, np.float32)
        self.glow = rng.uniform(0.2, 0.8) if rng.random() < 0.12 else 0

    def cut(self, canvas: NDArray[np.float32], mask: Mask, x: int, y: int) -> None:
        """Paints one gap into the (H, W, 3) canvas, in place."""
        margin = int(np.ceil(8 * self.scale)) + 2
        top, left = max(0, y - margin), max(0, x - margin)
        bottom = min(canvas.shape[0], y + mask.shape[0] + margin)
        right = min(canvas.shape[1], x + mask.shape[1] + margin)
        part = canvas[top:bottom, left:right]
        whole = np.zeros(part.shape[:2], np.float32)
        whole[y - top : y - top + mask.shape[0], x - left : x - left + mask.shape[1]] = mask
        soft = cv2.GaussianBlur(whole, (0, 0), self.soft) if self.soft else whole
        part += (self._filled(part) - part) * soft[:, :, None]
        if self.shadow:
            part *= 1 - self.shadow * self._inner_shadow(whole)[:, :, None]
        if self.emboss:
            part += self.emboss * 255 * relief(whole, self.scale)[:, :, None]
        if self.line or self.glow:
            stroke(part, whole, self)

    def _filled(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.fill == "dark":
            return part * self.factor
        if self.fill == "blend":
            return part + (self.shade - part) * self.alpha
        if self.fill == "flat":
            return np.broadcast_to(self.shade, part.shape)
        if self.fill == "blur":
            return cv2.GaussianBlur(part, (0, 0), self.blur) * min(1.0, self.factor + 0.3)
        if self.fill == "faint":
            return part * (1 + self.faint) + 255 * self.faint * 0.3
        if self.fill == "light":
            return 255 - (255 - part) * self.factor
        if self.fill == "other":
            return part[::-1, ::-1] * min(1.0, self.factor + 0.2)
        if self.fill == "mosaic":
            size = max(1, part.shape[1] // 8), max(1, part.shape[0] // 8)
            small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
            return cv2.resize(small, part.shape[1::-1], interpolation=cv2.INTER_NEAREST) * min(
                1.0, self.factor + 0.3
            )
        return self._rarely_filled(part)

    def _rarely_filled(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.fill == "photo" and self.photo is not None:
            return self.photo[-part.shape[0] :, -part.shape[1] :].astype(np.float32)
        if self.fill == "grey":
            return (part @ np.array(GREY, np.float32))[:, :, None] * np.ones(3) * min(1.0, self.factor + 0.3)
        if self.fill == "slope":
            # A film that is thicker at one side.
            y, x = np.mgrid[: part.shape[0], : part.shape[1]]
            along = self.slope[0] * (x / part.shape[1] - 0.5) + self.slope[1] * (y / part.shape[0] - 0.5)
            film = np.clip(self.alpha + along, 0.15, 0.95)[:, :, None]
            return part + (self.shade - part) * film  # type: ignore[no-any-return]
        if self.fill == "grain":
            film = self.alpha * self.rng.random((*part.shape[:2], 1), np.float32)
            return part + (self.shade - part) * film  # type: ignore[no-any-return]
        return part

    def _inner_shadow(self, whole: Mask) -> Mask:
        """Strong along the inner side of the edge, nothing outside."""
        shift = np.array([[1, 0, self.shadow_shift[0]], [0, 1, self.shadow_shift[1]]], np.float32)
        moved = cv2.warpAffine(whole, shift, whole.shape[::-1])
        return np.clip(1 - cv2.GaussianBlur(moved, (0, 0), self.shadow_width), 0, 1) * whole


def relief(whole: Mask, scale: float) -> Mask:
    """Light on one side of the edge and dark on the other, as if the shape were pressed in."""
    smooth = cv2.GaussianBlur(whole, (0, 0), 0.8 * scale)
    step = max(1, round(scale))
    return smooth - np.roll(smooth, (step, step), (0, 1))


def stroke(part: NDArray[np.float32], whole: Mask, look: Look) -> None:
    """A line along the edge, and light around it, in place."""
    size = max(2, round(look.line_width + 1))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    ring = np.clip(cv2.dilate(whole, kernel) - cv2.erode(whole, kernel), 0, 1)
    if look.line_width < 1.3 * look.scale:
        # A thin line: only the inner half of the ring.
        ring = np.clip(whole - cv2.erode(whole, kernel), 0, 1)
    if look.dashes:
        y, x = np.mgrid[: whole.shape[0], : whole.shape[1]]
        turn = np.arctan2(y - whole.shape[0] / 2, x - whole.shape[1] / 2) / (2 * np.pi) * look.dashes
        ring = ring * (turn % 1 < 0.6)
    if look.glow:
        light = np.clip(cv2.GaussianBlur(ring, (0, 0), 2.5 * look.scale) * 2, 0, 1)
        part += (look.line_shade - part) * (light * look.glow)[:, :, None]
    part += (look.line_shade - part) * (ring * look.line)[:, :, None]


def _decoys(
    rng: np.random.Generator, canvas: NDArray[np.float32], look: Look, mask: Mask, place: tuple[int, int]
) -> tuple[Box, ...]:
    height, width = canvas.shape[:2]
    taken = [(*place, mask.shape[1], mask.shape[0])]
    for _ in range(rng.choice(len(DECOYS), p=DECOYS)):
        other = _decoy_mask(rng, mask)
        if other.shape[0] >= height or other.shape[1] >= width:
            continue
        for _ in range(8):
            x = int(rng.integers(0, width - other.shape[1] + 1))
            y = place[1] if rng.random() < 0.4 else int(rng.integers(0, height - other.shape[0] + 1))
            y = min(y, height - other.shape[0])
            if all(_apart((x, y, other.shape[1], other.shape[0]), box) for box in taken):
                _decoy_look(rng, look).cut(canvas, other, x, y)
                taken.append((x, y, other.shape[1], other.shape[0]))
                break
    return tuple(taken[1:])


def _decoy_mask(rng: np.random.Generator, mask: Mask) -> Mask:
    kind = rng.random()
    if kind < 0.4:
        return mask
    if kind < 0.65:
        return shapes.draw(rng, *(side * rng.uniform(0.8, 1.2) for side in mask.shape[::-1]))
    if kind < 0.8:
        return shapes.turned(mask, rng.choice([90, 180, 270]) + rng.uniform(-20, 20))
    if kind < 0.9:
        return np.ascontiguousarray(mask[:, ::-1] if rng.random() < 0.5 else mask[::-1])
    scale = rng.uniform(0.6, 1.3)
    return shapes.trimmed(cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _decoy_look(rng: np.random.Generator, look: Look) -> Look:
    """Mostly the look of the gap itself; sometimes fainter."""
    if rng.random() < 0.75:
        return look
    weaker = Look(rng, look.scale)
    weaker.__dict__.update(look.__dict__)
    share = rng.uniform(0.3, 0.8)
    weaker.alpha, weaker.faint = look.alpha * share, look.faint * share
    weaker.factor = 1 - (1 - look.factor) * share
    return weaker


def _apart(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    x, y, w, h = box
    return x + w < other[0] or other[0] + other[2] < x or y + h < other[1] or other[1] + other[3] < y


def painted_piece(
    rng: np.random.Generator, picture: Pixels, mask: Mask, x: int, y: int, scale: float
) -> Pixels:
    """(h, w, 4) RGBA: the cut-out content under its mask, with the line, relief and tint that sites give
    it."""
    margin = 3
    padded = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_REFLECT)
    content = padded[y : y + mask.shape[0] + 2 * margin, x : x + mask.shape[1] + 2 * margin].astype(
        np.float32
    )
    alpha = cv2.copyMakeBorder(mask, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    if rng.random() < 0.25:
        content = content * rng.uniform(0.85, 1.15) + rng.uniform(-10, 10)
    if rng.random() < 0.3:
        content += rng.uniform(0.15, 0.6) * 255 * relief(alpha, scale)[:, :, None] * rng.choice([-1, 1])
    if rng.random() < 0.25:
        # A broad rim of light or shadow along the inner side of the edge.
        rim = np.clip(1 - cv2.GaussianBlur(alpha, (0, 0), rng.uniform(1.5, 5) * scale), 0, 0.5) * 2 * alpha
        shade = 255.0 if rng.random() < 0.6 else 0.0
        content += (shade - content) * (rim * rng.uniform(0.3, 1))[:, :, None]
    if rng.random() < 0.5:
        look = Look(rng, scale)
        look.line = rng.uniform(0.3, 1)
        stroke(content, alpha, look)
    rgba = np.dstack([np.clip(content, 0, 255), alpha * 255]).astype(np.uint8)
    return rgba[margin:-margin, margin:-margin]


def _piece(
    rng: np.random.Generator, picture: Pixels, mask: Mask, x: int, y: int, scale: float
) -> tuple[Pixels, bool]:
    """The second picture: a tight cut, one with margins, or a strip of the background's height."""
    rgba = painted_piece(rng, picture, mask, x, y, scale)
    strip = rng.random() < 0.4
    left, right = _margins(rng, scale)
    top, bottom = (y, picture.shape[0] - y - mask.shape[0]) if strip else _margins(rng, scale)
    whole = cv2.copyMakeBorder(rgba, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    if rng.random() < 0.25:
        whole = _with_shadow(rng, whole, scale)
    if rng.random() < 0.18:
        paper = np.array([(255,) * 3, (0,) * 3, colour(rng)][rng.choice(3, p=[0.5, 0.35, 0.15])], np.float32)
        alpha = whole[:, :, 3:].astype(np.float32) / 255
        whole = (whole[:, :, :3] * alpha + paper * (1 - alpha)).astype(np.uint8)
        if rng.random() < 0.6:
            whole = jpeg(whole, int(rng.integers(60, 96)))
    return np.ascontiguousarray(whole), strip


def _margins(rng: np.random.Generator, scale: float) -> tuple[int, int]:
    """Half of the pieces touch the edge of their picture."""
    if rng.random() < 0.5:
        return 0, 0
    first, second = (int(v) for v in rng.integers(0, round(14 * scale) + 1, 2))
    return first, second


def _with_shadow(rng: np.random.Generator, rgba: Pixels, scale: float) -> Pixels:
    alpha = rgba[:, :, 3].astype(np.float32) / 255
    shadow = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(1, 4) * scale) * rng.uniform(0.2, 0.45)
    total = np.maximum(alpha, shadow)
    rgb = rgba[:, :, :3] * (alpha / np.maximum(total, 1e-6))[:, :, None]
    return np.dstack([rgb, total * 255]).astype(np.uint8)


def _lay(canvas: NDArray[np.float32], rgba: Pixels, x: int, y: int) -> None:
    """Draws a piece over the canvas, in place; what hangs over the edge is cut."""
    left, top = max(0, -x), max(0, -y)
    part = canvas[max(0, y) : y + rgba.shape[0], max(0, x) : x + rgba.shape[1]]
    rgba = rgba[top : top + part.shape[0], left : left + part.shape[1]]
    alpha = rgba[:, :, 3:].astype(np.float32) / 255
    part += (rgba[:, :, :3] - part) * alpha


def _screenshot(
    rng: np.random.Generator,
    image: Pixels,
    picture: Pixels,
    mask: Mask,
    gap: Box,
    decoys: tuple[Box, ...],
    scale: float,
) -> Scene:
    """The piece lies over the background at its left, and often there is a page around both."""
    x, y, w, h = (int(v) for v in gap)
    piece = painted_piece(rng, picture, mask, x, y, scale)
    border = round(8 * scale)
    piece = cv2.copyMakeBorder(piece, *[border] * 4, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    if rng.random() < 0.6:
        piece = _with_shadow(rng, piece, scale)
    start = int(rng.integers(0, max(1, round(20 * scale))))
    if rng.random() < 0.15:
        start = int(rng.integers(0, max(1, x - w - 4)))
    start = max(0, min(start, x - w - 2))
    canvas = image.astype(np.float32)
    _lay(canvas, piece, start - border, y - border)
    image = np.clip(canvas, 0, 255).astype(np.uint8)
    visible: Box = (start, y, w, h)
    clear = tuple(box for box in decoys if _apart(tuple(int(v) for v in box), (start, y, w, h)))  # type: ignore[arg-type]
    shot = Scene(image, gap if start + w < x + w / 2 else None, clear, visible)
    return _paged(rng, shot, scale) if rng.random() < 0.4 else shot


def _paged(rng: np.random.Generator, shot: Scene, scale: float) -> Scene:
    """A page around the picture: margins, a line of text, the track with its handle."""
    height, width = shot.image.shape[:2]
    # Mostly the widget alone; sometimes it stands somewhere on a wide page.
    room = 30 * scale if rng.random() < 0.8 else 0.4 * width
    left, right = (int(v) for v in rng.integers(0, round(room), 2))
    top, bottom = int(rng.integers(0, round(50 * scale))), int(rng.integers(0, round(80 * scale)))
    paper = (255, 255, 255) if rng.random() < 0.6 else colour(rng)
    page = np.empty((height + top + bottom, width + left + right, 3), np.uint8)
    page[:] = paper
    page[top : top + height, left : left + width] = _rounded(rng, shot.image, page[:height, :width], scale)
    ink = tuple(255 - v for v in paper) if rng.random() < 0.5 else colour(rng)
    if top > 16 * scale:
        words = rng.choice(
            ["Drag the slider to fit the puzzle", "Security check", "Slide to verify", "Complete the picture"]
        )
        cv2.putText(
            page,
            words,
            (left, top - round(6 * scale)),
            int(rng.integers(0, 4)),
            0.45 * scale,
            ink,
            1,
            cv2.LINE_AA,
        )
    if bottom > 24 * scale:
        _track(rng, page, (left, top + height + round(5 * scale), width, bottom - round(8 * scale)), ink)
    if rng.random() < 0.4:
        middle = left + width - round(14 * scale), top + round(14 * scale)
        cv2.circle(page, middle, round(8 * scale), ink, round(2 * scale), cv2.LINE_AA)
    return Scene(
        page,
        _moved(shot.gap, left, top),
        tuple(_shift(b, left, top) for b in shot.decoys),
        _moved(shot.visible, left, top),
    )


def _rounded(rng: np.random.Generator, image: Pixels, paper: Pixels, scale: float) -> Pixels:
    """The picture, sometimes with round corners."""
    if rng.random() < 0.7:
        return image
    corner = shapes.rounded(image.shape[1], image.shape[0], round(rng.uniform(3, 12) * scale))
    return np.where(corner[:, :, None] > 0, image, paper)


def _track(
    rng: np.random.Generator, page: Pixels, box: tuple[int, int, int, int], ink: tuple[int, ...]
) -> None:
    x, y, w, h = box
    h = min(h, round(0.16 * w))
    cv2.rectangle(page, (x, y), (x + w - 1, y + h), colour(rng), -1)
    cv2.rectangle(page, (x, y), (x + w - 1, y + h), ink, 1)
    handle = round(h * rng.uniform(1, 1.4))
    cv2.rectangle(page, (x, y), (x + handle, y + h), colour(rng), -1)
    cv2.arrowedLine(
        page, (x + handle // 4, y + h // 2), (x + 3 * handle // 4, y + h // 2), ink, 2, cv2.LINE_AA, 0, 0.4
    )


def _shift(box: Box, left: float, top: float) -> Box:
    return box[0] + left, box[1] + top, box[2], box[3]


def _moved(box: Box | None, left: float, top: float) -> Box | None:
    return None if box is None else _shift(box, left, top)


def _empty(rng: np.random.Generator, picture: Pixels, scale: float) -> Scene:
    """A picture without a gap: bare, or with only the piece in it."""
    if rng.random() < 0.6:
        return Scene(picture, None)
    height, width = picture.shape[:2]
    mask = _mask(rng, width, height)
    x, y = int(rng.integers(0, width - mask.shape[1] + 1)), int(rng.integers(0, height - mask.shape[0] + 1))
    # Content from elsewhere, so that the piece can be seen.
    piece = painted_piece(rng, picture[:, ::-1], mask, x, y, scale)
    canvas = picture.astype(np.float32)
    start = int(rng.integers(0, max(1, round(0.2 * width))))
    _lay(canvas, piece, start, y)
    return Scene(np.clip(canvas, 0, 255).astype(np.uint8), None, (), (start, y, mask.shape[1], mask.shape[0]))


def jpeg(picture: Pixels, quality: int) -> Pixels:
    """The same picture after a JPEG file of that quality (0-100)."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded  # type: ignore[return-value]


def _finished(rng: np.random.Generator, shot: Scene) -> Scene:
    """What happens to a picture on its way: a mark, another size, JPEG."""
    image, gap, decoys, visible = shot.image, shot.gap, shot.decoys, shot.visible
    if rng.random() < 0.06:
        image = _marked(rng, image)
    if shot.piece is None and rng.random() < 0.2:
        factor = rng.uniform(0.8, 1.6)
        height, width = image.shape[:2]
        size = round(width * factor), round(height * factor)
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR if factor > 1 else cv2.INTER_AREA)
        fx, fy = size[0] / width, size[1] / height
        gap, visible = _scaled(gap, fx, fy), _scaled(visible, fx, fy)
        decoys = tuple((x * fx, y * fy, w * fx, h * fy) for x, y, w, h in decoys)
    if rng.random() < 0.5:
        image = jpeg(image, int(rng.integers(40, 96)))
    return Scene(np.ascontiguousarray(image), gap, decoys, visible, shot.piece, shot.rows_agree)


def _marked(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Some thin print over everything, as sites put their name there."""
    layer = image.copy()
    words = "".join(chr(int(c)) for c in rng.integers(97, 123, int(rng.integers(3, 11))))
    size = image.shape[1] / 300 * rng.uniform(0.4, 1)
    place = int(rng.integers(0, image.shape[1] // 2)), int(rng.integers(16, image.shape[0]))
    cv2.putText(layer, words, place, int(rng.integers(0, 4)), size, colour(rng), 1, cv2.LINE_AA)
    mix = rng.uniform(0.3, 0.9)
    return cv2.addWeighted(layer, mix, image, 1 - mix, 0)  # type: ignore[return-value]


def _scaled(box: Box | None, fx: float, fy: float) -> Box | None:
    return None if box is None else (box[0] * fx, box[1] * fy, box[2] * fx, box[3] * fy)


def _sheet(photos: Photos, count: int) -> Pixels:
    rng = np.random.default_rng(0)
    forms: tuple[Form, ...] = ("bare", "screenshot", "two", "empty")
    sheet = np.full(((count + 3) // 4 * 270, 4 * 440, 3), 90, np.uint8)
    for index in range(count):
        shot = scene(rng, photos, forms[index % 4])
        image = shot.image.copy()
        for box, shade in [
            (shot.gap, (255, 0, 0)),
            (shot.visible, (0, 255, 0)),
            *((d, (0, 0, 255)) for d in shot.decoys),
        ]:
            if box:
                x, y, w, h = (round(v) for v in box)
                cv2.rectangle(image, (x - 2, y - 2), (x + w + 1, y + h + 1), shade, 1)
        scale = min(1.0, 340 / image.shape[1], 265 / image.shape[0])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        top, left = index // 4 * 270, index % 4 * 440
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
        if shot.piece is not None:
            piece = shot.piece[:265, :90, :3]
            sheet[top : top + piece.shape[0], left + 345 : left + 345 + piece.shape[1]] = piece
    return sheet


def shard(photos: Photos, seed: int, size: int = SHARD) -> dict[str, NDArray[np.generic]]:
    """One-image scenes as the network sees them, in buckets of one height: pixels, and boxes x y w h in them.

    A row of boxes: gap, visible piece, three decoys; a missing one has no width.
    """
    rng = np.random.default_rng(seed)
    pixels: dict[int, list[Pixels]] = {}
    boxes: dict[int, list[NDArray[np.float32]]] = {}
    for _ in range(size):
        shot = scene(rng, photos, FORMS[rng.choice(len(FORMS), p=FORM_SHARES)])
        small = shrunk(shot.image)
        scale = np.array([small.shape[1] / shot.image.shape[1], small.shape[0] / shot.image.shape[0]] * 2)
        row = [shot.gap, shot.visible, *shot.decoys, None, None, None][:5]
        canvas = padded(_widened(small), BUCKET)
        pixels.setdefault(canvas.shape[0], []).append(canvas)
        boxes.setdefault(canvas.shape[0], []).append(
            np.array([b or (0, 0, 0, 0) for b in row], np.float32) * scale
        )
    arrays: dict[str, NDArray[np.generic]] = {}
    for height in pixels:
        arrays[f"pixels_{height}"] = np.stack(pixels[height])
        arrays[f"boxes_{height}"] = np.stack(boxes[height]).astype(np.float32)
    return arrays


def _widened(small: Pixels) -> Pixels:
    return cv2.copyMakeBorder(small, 0, 0, 0, WIDTH - small.shape[1], cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def render(photos: Photos, folder: Path, seeds: range) -> None:
    """Writes the shards that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in track(seeds, description="rendering"):
        target = folder / f"{seed:06}.npz"
        if not target.exists():
            np.savez(target.with_suffix(".part.npz"), **shard(photos, seed))  # type: ignore[arg-type]
            target.with_suffix(".part.npz").rename(target)


def samples(folder: Path, count: int) -> None:
    """Writes small fixed pictures without any photo in them, and labels.tsv with their answers."""
    rng = np.random.default_rng(SAMPLES_SEED)
    forms: tuple[Form, ...] = ("bare", "screenshot", "two")
    shots: list[Scene] = []
    while len(shots) < count:
        shot = scene(rng, Photos([], []), forms[len(shots) % 3])
        if shot.gap is not None and not shot.decoys and shot.image.shape[1] <= 360:
            shots.append(shot)
    write(folder, shots)


def pictures(photos: Photos, folder: Path, count: int) -> None:
    """Writes two families of `count` pictures each, one image and two, as the benchmark reads them."""
    rng = np.random.default_rng(PICTURES_SEED)
    one = (scene(rng, photos, FORMS[rng.choice(len(FORMS), p=FORM_SHARES)]) for _ in range(count))
    write(folder / "one", one)
    write(folder / "two", (scene(rng, photos, "two") for _ in range(count)))


def write(folder: Path, shots: Iterable[Scene]) -> None:
    """The pictures, and labels.tsv with their answers; "-" is what is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file\tpiece\tx\ty\tw\th\timg_w\timg_h\tpiece_x"]
    for index, shot in enumerate(shots):
        name = f"{index:03}"
        cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(shot.image, cv2.COLOR_RGB2BGR))
        if shot.piece is not None:
            order = cv2.COLOR_RGBA2BGRA if shot.piece.shape[2] == 4 else cv2.COLOR_RGB2BGR
            cv2.imwrite(str(folder / f"{name}_piece.png"), cv2.cvtColor(shot.piece, order))
        box = ["-"] * 4 if shot.gap is None else [str(round(side)) for side in shot.gap]
        start = "-" if shot.visible is None else str(round(shot.visible[0]))
        piece = "-" if shot.piece is None else f"{name}_piece.png"
        rows.append("\t".join([f"{name}.png", piece, *box, *map(str, shot.image.shape[1::-1]), start]))
    (folder / "labels.tsv").write_text("\n".join(rows) + "\n", "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["sheet", "render", "samples", "pictures"])
    parser.add_argument("photos", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--held-out", action="store_true", help="the photos that are kept for validation")
    return parser.parse_args()


if __name__ == "__main__":
    cv2.setNumThreads(1)
    arguments = _arguments()
    if arguments.action == "samples":
        samples(arguments.output, arguments.count)
        raise SystemExit
    pool = load(arguments.photos, arguments.held_out)
    if arguments.action == "sheet":
        cv2.imwrite(str(arguments.output), cv2.cvtColor(_sheet(pool, arguments.count), cv2.COLOR_RGB2BGR))
    elif arguments.action == "pictures":
        pictures(pool, arguments.output, arguments.count)
    else:
        first = HELD_OUT_SEED if arguments.held_out else 0
        render(pool, arguments.output, range(first, first + arguments.count))
