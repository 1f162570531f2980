"""Free-standing objects on any background: a network says where they are, how large, and which pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.model_store import load
from legible.recognizers.click.preprocess import NETWORK_SIDE, tensor

Floats = NDArray[np.float32]

MODEL = "click_objects"
# Pixels a place of the maps, and the radius that a 0 stands for.
STRIDE, UNIT = 4, 16
# A centre is thought of from here on, and believed from this share of how clear the clearest few are: the
# objects of a scene are about as clear as each other. Another within `APART` of the larger radius is one.
LEAST, RELATIVE, CLEAREST = 0.12, 0.4, 5
APART = 0.8
MOST = 24


@dataclass(frozen=True, slots=True)
class Things:
    """`places` (n, 3): centre x, y and half the longer side; `areas` (n,) in pixels; `mask` (h, w) 0-1:
    where they are; `chances` (n,) 0-1: that there is one."""

    places: Floats
    areas: Floats
    mask: Floats
    chances: Floats


def find_things(rgb: NDArray[np.uint8]) -> Things:
    """The objects of a canvas, the clearest 24 at most; there may be none."""
    small = _shrunk(rgb)
    heat, inside, size = load(MODEL).run(tensor(small))[0][0]
    centres = _centres(_chance(heat), UNIT * np.exp(np.clip(size, -3, 3)))
    scale = rgb.shape[1] / small.shape[1]
    mask = _grown(_chance(inside), small.shape, rgb.shape)
    places, chances = _believed(centres[:, :3] * scale, centres[:, 3], mask)
    return Things(places, _areas(places, mask), mask, chances)


def _shrunk(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    scale = min(1.0, NETWORK_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _chance(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def _centres(heat: Floats, radii: Floats) -> Floats:
    """(n, 4) x, y and radius in pixels of what the network saw, and how sure each is; the surest first."""
    peaks = (heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8))) & (heat >= LEAST)
    rows, columns = np.nonzero(peaks)
    found: list[tuple[float, float, float, float]] = []
    for place in np.argsort(-heat[rows, columns], kind="stable"):
        row, column = int(rows[place]), int(columns[place])
        down, across = _summit(heat, row, column)
        x, y = (STRIDE * (v + 0.5) - 0.5 for v in (across, down))
        radius = float(radii[row, column])
        if all(np.hypot(x - a, y - b) > APART * max(radius, other) for a, b, other, _ in found):
            found.append((x, y, radius, float(heat[row, column])))
    return np.array(found[:MOST], np.float32).reshape(-1, 4)


def _believed(places: Floats, chances: Floats, mask: Floats) -> tuple[Floats, Floats]:
    """The places that are clear both as a centre and as an inside, and how clear."""
    clear = chances * np.sqrt([_inside(place, mask) for place in places])
    if not len(places):
        return places, chances
    kept = clear >= RELATIVE * np.sort(clear)[-CLEAREST:].mean()
    return places[kept], np.asarray(clear[kept], np.float32)


def _inside(place: Floats, mask: Floats) -> float:
    """The mean of the mask in the middle of an object; 0 for one in what was added around the picture."""
    x, y, reach = round(float(place[0])), round(float(place[1])), max(2, int(place[2] / 2))
    part = mask[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return float(part.mean()) if part.size else 0.0


def _summit(heat: Floats, row: int, column: int) -> tuple[float, float]:
    """The middle of what is around a peak."""
    top, left = max(0, row - 1), max(0, column - 1)
    part = heat[top : row + 2, left : column + 2]
    rows, columns = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
    return float((rows * part).sum() / part.sum()), float((columns * part).sum() / part.sum())


def _grown(inside: Floats, small: tuple[int, ...], shape: tuple[int, ...]) -> Floats:
    """The map of what is inside, without what was added around the picture, at the canvas's size."""
    size = inside.shape[1] * STRIDE, inside.shape[0] * STRIDE
    whole = cv2.resize(inside, size, interpolation=cv2.INTER_LINEAR)[: small[0], : small[1]]
    return np.asarray(cv2.resize(whole, shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _areas(places: Floats, mask: Floats) -> Floats:
    """(n,) between the square around each and the pixels inside that are nearest to it, measured in radii."""
    if not len(places):
        return np.zeros(0, np.float32)
    rows, columns = np.mgrid[: mask.shape[0] : 2, : mask.shape[1] : 2].astype(np.float32)
    reach = np.hypot(columns[..., None] - places[:, 0], rows[..., None] - places[:, 1]) / places[:, 2]
    owner = np.where(reach.min(2) < 1.3, reach.argmin(2), len(places))
    counts = np.bincount(owner.ravel(), mask[::2, ::2].ravel(), len(places) + 1)
    return np.asarray(np.sqrt(4 * counts[:-1]) * 2 * places[:, 2], np.float32)
