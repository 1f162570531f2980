"""What is seen on a canvas: its objects, and how unlike each other they are."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.recognizers.click.discs import find_discs
from legible.recognizers.click.looks import unlike_in_looks
from legible.recognizers.click.preprocess import Canvas
from legible.recognizers.click.things import Things, find_things

Floats = NDArray[np.float32]

# Side of the crops of discs, and the part of a disc's radius that is compared: not its rim.
CROP, INNER = 40, 0.8
SHIFT = 2
# Rings and steps around, when free objects are compared at every turn.
RINGS, STEPS = 12, 48
MASK_WEIGHT = 40.0
# Two pictures of one thing differ by about this much: correlation for discs, free objects and outlines,
# colour in Lab, and what stays of a thing that is turned in space.
DISC_NOISE, TEXTURE_NOISE, OUTLINE_NOISE, COLOUR_NOISE, LOOKS_NOISE = 0.1, 0.08, 0.04, 6.0, 0.5


@dataclass(frozen=True, slots=True)
class View:
    """`places` (n, 3): centre x, y and radius in canvas pixels. `differences`: (n, n) distances, with how
    large each is between two pictures of one thing. `spread` (n,) 0-1: how many colours a disc holds, None
    for free objects. `areas` (n,) in canvas pixels. `chances` (n,) 0-1: that there is one, None for discs.
    """

    places: Floats
    differences: tuple[tuple[Floats, float], ...]
    areas: Floats
    spread: Floats | None = None
    chances: Floats | None = None

    @property
    def kind(self) -> str:
        return "things" if self.spread is None else "discs"


def look_at_discs(canvas: Canvas) -> View | None:
    """The discs of a canvas; None where there are none."""
    discs = find_discs(canvas.rgb)
    if discs is None:
        return None
    crops = _crops(canvas.rgb, discs)
    areas = (np.pi * discs[:, 2] ** 2).astype(np.float32)
    return View(discs, ((_uncorrelated(crops), DISC_NOISE),), areas, _spread(crops))


def look_at_things(canvas: Canvas) -> View:
    """The free objects of a canvas; there may be none."""
    things = find_things(canvas.rgb)
    if not len(things.places):
        nothing = np.zeros((0, 0), np.float32)
        return View(things.places, ((nothing, 1.0),), things.areas)
    lab = lab_of(canvas.rgb)
    patterns, colours = polar(lab, things)
    texture, outline = (_unlike_at_any_turn(part) for part in (patterns, patterns[..., 3:]))
    colour = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    looks = unlike_in_looks(lab, things.mask, things.places, patterns)
    differences = (
        (texture, TEXTURE_NOISE), (outline, OUTLINE_NOISE), (colour, COLOUR_NOISE), (looks, LOOKS_NOISE),
    )  # fmt: skip
    return View(things.places, differences, things.areas, chances=things.chances)


# ---- discs: upright pictures of one size -----------------------------------------------------------------


def _crops(rgb: NDArray[np.uint8], discs: Floats) -> NDArray[np.uint8]:
    """(n, CROP, CROP, 3)."""
    crops = []
    for x, y, radius in discs * (1, 1, 0.95):
        step = 2 * radius / CROP
        matrix = np.array([[step, 0, x - radius + step / 2], [0, step, y - radius + step / 2]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crops.append(cv2.warpAffine(rgb, matrix, (CROP, CROP), flags=flags, borderMode=cv2.BORDER_REPLICATE))
    return np.stack(crops).astype(np.uint8)


def _within(share: float) -> Floats:
    y, x = np.mgrid[:CROP, :CROP] - (CROP - 1) / 2
    return np.asarray(np.hypot(x, y) < share * CROP / 2, np.float32)


def _uncorrelated(crops: NDArray[np.uint8]) -> Floats:
    """(n, n) one minus the correlation of band-passed luminance, at the best shift: blind to fading and to
    haze."""
    grey = crops.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    bands = np.stack([cv2.GaussianBlur(g, (0, 0), 1.5) - cv2.GaussianBlur(g, (0, 0), 6) for g in grey])
    mask = _within(INNER)
    fixed = _normal(bands, mask)
    best = np.full((len(crops), len(crops)), -1, np.float32)
    for down in range(-SHIFT, SHIFT + 1):
        for across in range(-SHIFT, SHIFT + 1):
            moved = _normal(np.roll(bands, (down, across), (1, 2)), mask)
            best = np.maximum(best, fixed @ moved.T)
    return np.asarray(1 - np.maximum(best, best.T), np.float32)


def _normal(bands: Floats, mask: Floats) -> Floats:
    """(n, pixels) of mean 0 and length 1 within the mask."""
    inside = bands * mask
    inside = inside - inside.sum((1, 2), keepdims=True) / mask.sum() * mask
    flat = inside.reshape(len(bands), -1)
    return np.asarray(flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6), np.float32)


def _spread(crops: NDArray[np.uint8]) -> Floats:
    """(n,) 0: all that is coloured has one hue; towards 1: hues of every kind. Fading changes chroma, but
    no hue."""
    inside = _within(0.84) > 0
    spread = []
    for crop in crops:
        chroma = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[inside][:, 1:]
        chroma = chroma - np.median(chroma, axis=0)
        strength = np.hypot(chroma[:, 0], chroma[:, 1])
        weight = np.where(strength > 8, strength, 0)
        mean = (chroma / np.maximum(strength, 1e-3)[:, None] * weight[:, None]).sum(0)
        # A disc without colour says nothing; it counts as many-coloured.
        spread.append(1 - np.hypot(*mean) / weight.sum() if weight.sum() > strength.size else 1.0)
    return np.array(spread, np.float32)


# ---- free objects: at any turn and scale -----------------------------------------------------------------


def lab_of(rgb: NDArray[np.uint8]) -> Floats:
    """(h, w, 3) in Lab: 0-100, and about -100 to 100; a little smooth."""
    soft = cv2.GaussianBlur(rgb, (0, 0), 0.7).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(soft, cv2.COLOR_RGB2LAB), np.float32)


def polar(lab: Floats, things: Things) -> tuple[Floats, Floats]:
    """(n, RINGS, STEPS, 4) what is seen around each centre, as offsets from its (n, 3) mean colour in Lab;
    and its mask."""
    rings = (np.arange(RINGS, dtype=np.float32) + 0.5) / RINGS
    turn = np.arange(STEPS, dtype=np.float32) * 2 * np.pi / STEPS
    patterns, colours = [], []
    for x, y, radius in things.places:
        reach = rings[:, None] * radius * 1.1
        across, down = (
            (x + reach * np.cos(turn)).astype(np.float32),
            (y + reach * np.sin(turn)).astype(np.float32),
        )
        seen = cv2.remap(lab, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.remap(things.mask, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[
            ..., None
        ]
        # Outer rings stand for more pixels.
        area = mask * rings[:, None, None]
        colour = (seen * area).sum((0, 1)) / max(float(area.sum()), 1e-3)
        pattern = np.concatenate([(seen - colour) * mask, MASK_WEIGHT * (mask - mask.mean())], 2)
        patterns.append(pattern * np.sqrt(rings)[:, None, None])
        colours.append(colour)
    return np.stack(patterns).astype(np.float32), np.stack(colours).astype(np.float32)


def _unlike_at_any_turn(patterns: Floats) -> Floats:
    """(n, n) one minus the correlation at the best turn."""
    turned = np.fft.rfft(patterns, axis=2).transpose(2, 0, 1, 3).reshape(STEPS // 2 + 1, len(patterns), -1)
    products = turned @ turned.conj().transpose(0, 2, 1)
    best = np.fft.irfft(products, STEPS, axis=0).max(0)
    length = np.sqrt((patterns**2).sum((1, 2, 3)) + 1e-6)
    return np.asarray(1 - best / (length[:, None] * length[None]), np.float32)
