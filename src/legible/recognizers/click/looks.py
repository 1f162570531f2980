"""What of an object stays when it is turned in space: two views of one solid are of one thing."""

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.model_store import load

Floats = NDArray[np.float32]

MODEL = "click_looks"
# Of the waves around each ring, so many are looked at; at which shares of an object's pixels, sorted, its
# light and its edges are.
WAVES = 8
LIGHT = np.linspace(0.05, 0.95, 10)
EDGES = np.array([0.1, 0.25, 0.5, 0.75, 0.9, 0.97])
STEPS = np.linspace(0, 1, 11)
STEPS[0] = -np.inf
# What counts as inside of an object; fewer pixels than that say nothing, and then all around it are taken.
INSIDE, FEWEST = 0.6, 30
AROUND, EDGE = 1.15, 5
# Radius in canvas pixels at which edges are as steep as they are.
RADIUS = 24


def unlike_in_looks(lab: Floats, mask: Floats, places: Floats, patterns: Floats) -> Floats:
    """(n, n) distances, 1 where two objects differ as much as two views of one thing do on average.

    The matrix that weighs the numbers was fitted by `training/click/looks.py`.
    """
    seen = load(MODEL).run(numbers(lab, mask, places, patterns))[0]
    return np.asarray(np.linalg.norm(seen[:, None] - seen[None], axis=2), np.float32)


def numbers(lab: Floats, mask: Floats, places: Floats, patterns: Floats) -> Floats:
    """(h, w, 3) in Lab, (h, w) 0-1, (n, 3) x, y, radius, and (n, rings, steps, 4) patterns around them ->
    (n, 413): how strong each wave around each ring is, wherever it begins; and how light and how edged what
    is inside is."""
    waves = abs(np.fft.rfft(patterns, axis=2))[:, :, :WAVES].reshape(len(patterns), -1)
    waves /= np.linalg.norm(waves, axis=1, keepdims=True) + 1e-6
    light = np.ascontiguousarray(lab[..., 0])
    slopes = (cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1))
    edges = np.asarray(cv2.magnitude(*slopes), np.float32)
    inside = (mask > INSIDE).astype(np.uint8)
    core = np.asarray(cv2.erode(inside, np.ones((EDGE, EDGE), np.uint8)), np.uint8)
    shades = [_shades(lab, edges, inside, core, place) for place in places]
    return np.concatenate([waves, np.array(shades)], 1).astype(np.float32)


def _shades(
    lab: Floats, edges: Floats, inside: NDArray[np.uint8], core: NDArray[np.uint8], place: Floats
) -> Floats:
    x, y, radius = (float(v) for v in place)
    reach = AROUND * radius
    rows = slice(max(0, int(y - reach)), max(0, int(y + reach)) + 2)
    columns = slice(max(0, int(x - reach)), max(0, int(x + reach)) + 2)
    colours = lab[rows, columns].reshape(-1, 3)
    own = inside[rows, columns].ravel() > 0
    within = core[rows, columns].ravel() > 0
    share = own.mean()
    colours = colours[own] if own.sum() >= FEWEST else colours
    steep = edges[rows, columns].ravel()
    steep = steep[within] if within.sum() >= FEWEST else steep
    light = np.sort(colours[:, 0])
    light /= max(float(light[-1]), 1.0)
    # How many are darker than each step: a histogram, faster.
    shares = np.diff(np.searchsorted(light, STEPS, "right")) / len(light)
    slopes = np.log1p(_at(np.sort(steep), EDGES) * radius / RADIUS)
    return np.concatenate(
        [2 * _at(light, LIGHT), colours[:, 1:].std(0) / 20, slopes / 3, 2 * shares, [2 * share]]
    )


def _at(values: Floats, shares: NDArray[np.float64]) -> Floats:
    """Of sorted values, those at some shares of the way from the least to the greatest."""
    return values[(shares * (len(values) - 1)).astype(np.intp)]
