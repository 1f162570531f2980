"""Tiles of a street, drawn from nothing: for the console's samples of an image grid, without any photo."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Rng = np.random.Generator
Draw = Callable[[Rng, Pixels], None]

SIDE = 100
# Drawn this many times larger, then made smaller, as a lens would soften it.
FINE = 4
CANVAS = SIDE * FINE


def tile(draw: Draw, seed: int, side: int = SIDE) -> Pixels:
    """(side, side, 3) RGB; the same seed gives the same tile."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
    draw(rng, canvas)
    light = np.linspace(rng.uniform(0.85, 1.0), rng.uniform(0.95, 1.1), CANVAS)[None, :, None]
    blurred = cv2.GaussianBlur(canvas, (0, 0), 2.2).astype(np.float64) * light
    method = cv2.INTER_AREA if side < CANVAS else cv2.INTER_CUBIC
    small = cv2.resize(blurred, (side, side), interpolation=method)
    return np.clip(small + rng.normal(0, 3.5, small.shape), 0, 255).astype(np.uint8)


def crosswalk(rng: Rng, canvas: Pixels) -> None:
    """White stripes on asphalt that run away from the eye."""
    _road(rng, canvas, 0)
    centre, far = rng.uniform(0.3, 0.7) * CANVAS, rng.uniform(-0.6, -0.25) * CANVAS
    top, bottom = rng.uniform(0.1, 0.25) * CANVAS, rng.uniform(0.8, 0.95) * CANVAS
    width = rng.uniform(0.16, 0.2) * CANVAS
    for stripe in range(-5, 6):
        near = [centre + (2 * stripe + edge) * width for edge in (-0.5, 0.5)]
        shares = [(y - far) / (CANVAS - far) for y in (top, bottom)]
        points = [(centre + (x - centre) * s, y) for x, s, y in
                  ((near[0], shares[0], top), (near[1], shares[0], top),
                   (near[1], shares[1], bottom), (near[0], shares[1], bottom))]  # fmt: skip
        _polygon(canvas, points, _grey(rng, 222, 8))
    _speckle(rng, canvas, 9)


def traffic_light(rng: Rng, canvas: Pixels) -> None:
    """A dark case with three lamps before the sky."""
    _sky(rng, canvas)
    x, y = rng.uniform(0.4, 0.6) * CANVAS, rng.uniform(0.1, 0.16) * CANVAS
    w, h = 0.26 * CANVAS, 0.66 * CANVAS
    _box(canvas, x - 0.02 * CANVAS, y + h, x + 0.02 * CANVAS, CANVAS, (70, 72, 70))
    _box(canvas, x - w / 2, y, x + w / 2, y + h, (34, 36, 34))
    lit = int(rng.integers(3))
    for lamp, colour in enumerate(((225, 40, 30), (240, 180, 40), (40, 210, 130))):
        centre = (int(x), int(y + h * (0.18 + 0.32 * lamp)))
        cv2.circle(canvas, centre, int(w * 0.36), (20, 20, 20), -1, cv2.LINE_AA)
        shown = colour if lamp == lit else tuple(c // 4 for c in colour)
        cv2.circle(canvas, centre, int(w * 0.31), shown, -1, cv2.LINE_AA)


def hydrant(rng: Rng, canvas: Pixels) -> None:
    """A red hydrant on a pavement before grass."""
    _ground(rng, canvas, 0.62, (92, 128, 62), (165, 160, 150))
    red, dark = (196, 38, 30), (140, 24, 20)
    x, u = rng.uniform(0.42, 0.58) * CANVAS, CANVAS / 100
    _box(canvas, x - 17 * u, 84 * u, x + 17 * u, 92 * u, dark)
    _box(canvas, x - 12 * u, 36 * u, x + 12 * u, 86 * u, red)
    _box(canvas, x + 5 * u, 36 * u, x + 12 * u, 86 * u, dark)
    _box(canvas, x - 15 * u, 32 * u, x + 15 * u, 38 * u, dark)
    cv2.ellipse(canvas, (int(x), int(33 * u)), (int(13 * u), int(15 * u)), 0, 180, 360, red, -1, cv2.LINE_AA)
    _box(canvas, x - 4 * u, 12 * u, x + 4 * u, 20 * u, dark)
    for side in (-1, 1):
        _box(canvas, x + side * 12 * u, 48 * u, x + side * 21 * u, 60 * u, red)
        _box(canvas, x + side * 20 * u, 46 * u, x + side * 24 * u, 62 * u, dark)
    cv2.circle(canvas, (int(x), int(56 * u)), int(8 * u), dark, -1, cv2.LINE_AA)
    cv2.circle(canvas, (int(x), int(56 * u)), int(5 * u), red, -1, cv2.LINE_AA)


def palm(rng: Rng, canvas: Pixels) -> None:
    """A palm tree before the sky."""
    _sky(rng, canvas)
    u = CANVAS / 100
    x, y = rng.uniform(42, 58), rng.uniform(28, 36)
    trunk = [(x - 2, y), (x + 2, y), (x + 7, 100), (x + 1, 100)]
    _polygon(canvas, [(a * u, b * u) for a, b in trunk], (112, 88, 62))
    for angle in np.linspace(0, 2 * np.pi, 15)[:-1] + rng.uniform(0, 0.4):
        steps = np.linspace(0, 1, 24)[1:]
        length = rng.uniform(24, 34)
        spine = np.stack([x + np.cos(angle) * length * steps,
                          y + np.sin(angle) * length * 0.75 * steps + 16 * steps**2], 1)  # fmt: skip
        green = (int(rng.integers(30, 60)), int(rng.integers(80, 120)), int(rng.integers(30, 50)))
        for (px, py), step in zip(spine, steps, strict=True):
            leaf = 8 * np.sin(np.pi * min(1, 0.15 + step))
            cv2.line(canvas, (int(px * u), int(py * u)), (int((px - 1) * u), int((py + leaf) * u)), green, 6)


def mountains(rng: Rng, canvas: Pixels) -> None:
    """Ridges one behind another, paler the farther."""
    _sky(rng, canvas)
    for layer in range(4):
        base = CANVAS * (0.42 + 0.15 * layer)
        x = np.linspace(0, CANVAS, 24)
        y = base - np.abs(np.cumsum(rng.normal(0, 14, 24))) - rng.uniform(0, 20, 24)
        colour = (120 - 22 * layer, 132 - 16 * layer, 140 - 30 * layer)
        _polygon(canvas, [*zip(x, y, strict=True), (CANVAS, CANVAS), (0, CANVAS)], colour)


def bus(rng: Rng, canvas: Pixels) -> None:
    """A bus from its side, on a road."""
    _ground(rng, canvas, 0.7, (176, 196, 214), (88, 88, 90))
    u = CANVAS / 100
    colour = ((206, 58, 44), (40, 96, 168), (236, 236, 232))[int(rng.integers(3))]
    _box(canvas, 6 * u, 26 * u, 94 * u, 76 * u, colour)
    for window in range(5):
        _box(canvas, (10 + 14 * window) * u, 34 * u, (21 + 14 * window) * u, 51 * u, (38, 48, 58))
    _box(canvas, 81 * u, 34 * u, 91 * u, 70 * u, (48, 58, 66))
    _box(canvas, 6 * u, 72 * u, 94 * u, 77 * u, (40, 40, 42))
    for x in (24, 72):
        cv2.circle(canvas, (int(x * u), int(77 * u)), int(8.5 * u), (24, 24, 26), -1, cv2.LINE_AA)
        cv2.circle(canvas, (int(x * u), int(77 * u)), int(4 * u), (150, 150, 152), -1, cv2.LINE_AA)


def stairs(rng: Rng, canvas: Pixels) -> None:
    """Steps that lead up between two walls."""
    canvas[:] = _grey(rng, 168, 10)
    for step in range(12):
        y = CANVAS * (0.98 - 0.078 * step)
        inset = CANVAS * (0.03 + 0.013 * step)
        h = CANVAS * 0.078
        _box(canvas, inset, y - h * 0.55, CANVAS - inset, y, _grey(rng, 112, 6))
        _box(canvas, inset, y - h, CANVAS - inset, y - h * 0.55, _grey(rng, 206, 6))
    _speckle(rng, canvas, 8)


def house(rng: Rng, canvas: Pixels) -> None:
    """A wall with windows, and nothing that is ever asked for."""
    canvas[:] = tuple(int(v) for v in rng.integers(150, 215, 3))
    for row in range(2):
        for column in range(3):
            x, y = (0.1 + 0.3 * column) * CANVAS, (0.12 + 0.46 * row) * CANVAS
            _box(canvas, x - 8, y - 8, x + 0.2 * CANVAS + 8, y + 0.3 * CANVAS + 8, (236, 234, 228))
            _box(canvas, x, y, x + 0.2 * CANVAS, y + 0.3 * CANVAS, (62, 74, 86))
            _box(canvas, x + 0.095 * CANVAS, y, x + 0.105 * CANVAS, y + 0.3 * CANVAS, (236, 234, 228))
    _speckle(rng, canvas, 7)


def trees(rng: Rng, canvas: Pixels) -> None:
    """Leaves, and grass under them."""
    _ground(rng, canvas, 0.75, (168, 196, 222), (110, 142, 72))
    for _ in range(260):
        x, y = rng.normal(0.5, 0.28) * CANVAS, rng.normal(0.4, 0.15) * CANVAS
        green = (int(rng.integers(30, 80)), int(rng.integers(80, 140)), int(rng.integers(30, 60)))
        cv2.circle(canvas, (int(x), int(y)), int(rng.uniform(8, 26)), green, -1, cv2.LINE_AA)


def empty_road(rng: Rng, canvas: Pixels) -> None:
    """A road with its middle line, between fields."""
    _ground(rng, canvas, 0.35, (166, 198, 226), (120, 146, 84))
    horizon = 0.35 * CANVAS
    left, right = (-0.25 * CANVAS, CANVAS), (1.25 * CANVAS, CANVAS)
    _polygon(canvas, [(0.47 * CANVAS, horizon), (0.53 * CANVAS, horizon), right, left], _grey(rng, 96, 5))
    line = ((0.498, 0.35), (0.502, 0.35), (0.52, 1), (0.48, 1))
    _polygon(canvas, [(x * CANVAS, y * CANVAS) for x, y in line], (226, 200, 90))
    _speckle(rng, canvas, 7)


def _grey(rng: Rng, middle: int, spread: int) -> tuple[int, int, int]:
    value = int(rng.integers(middle - spread, middle + spread + 1))
    return value, value, max(0, value - 4)


def _sky(rng: Rng, canvas: Pixels) -> None:
    share = np.linspace(0, 1, CANVAS)[:, None, None]
    top, bottom = np.array([108, 158, 214]) + rng.uniform(-20, 20), np.array([206, 224, 240])
    canvas[:] = np.clip(top * (1 - share) + bottom * share, 0, 255).astype(np.uint8)


def _road(rng: Rng, canvas: Pixels, horizon: float) -> None:
    canvas[int(horizon) :] = _grey(rng, 98, 14)


def _ground(rng: Rng, canvas: Pixels, horizon: float, above: tuple[int, ...], below: tuple[int, ...]) -> None:
    canvas[: int(horizon * CANVAS)] = above
    canvas[int(horizon * CANVAS) :] = below
    _speckle(rng, canvas, 10)


def _speckle(rng: Rng, canvas: Pixels, strength: float) -> None:
    coarse = rng.normal(0, strength, (CANVAS // 3, CANVAS // 3, 1)).astype(np.float32)
    noise = cv2.resize(coarse, (CANVAS, CANVAS))[..., None]
    canvas[:] = np.clip(canvas + noise, 0, 255).astype(np.uint8)


def _box(
    canvas: Pixels, left: float, top: float, right: float, bottom: float, colour: tuple[int, ...]
) -> None:
    x0, x1 = sorted((int(left), int(right)))
    cv2.rectangle(canvas, (x0, int(top)), (x1, int(bottom)), colour, -1)


def _polygon(canvas: Pixels, points: list[tuple[float, float]], colour: tuple[int, ...]) -> None:
    cv2.fillPoly(canvas, [np.array(points, np.int32)], colour, cv2.LINE_AA)
