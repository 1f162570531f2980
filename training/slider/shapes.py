"""Outlines of slider pieces, drawn as soft masks: jigsaw pieces, plain shapes and blobs, turned and at any
size."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.float32]
Points = NDArray[np.float64]

# Masks are drawn this many times larger and averaged down, which gives every sub-pixel position of an edge.
OVERSAMPLE = 4


def _circle(turns: int = 64) -> Points:
    angle = np.linspace(0, 2 * np.pi, turns, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _polygon(corners: int) -> Points:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) - np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _star(points: int, inner: float) -> Points:
    polygon = _polygon(2 * points)
    polygon[1::2] *= inner
    return polygon


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y], 1) / 17


def _blob(rng: np.random.Generator) -> Points:
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(2, 7):
        radius += rng.normal(0, 0.35 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    return np.stack([np.cos(angle), np.sin(angle)], 1) * np.clip(radius, 0.3, 2)[:, None]


def _drop() -> Points:
    t = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    return np.stack([np.sin(t) * np.sin(t / 2) ** 1.5, -np.cos(t)], 1)


def _plus(arm: float) -> Points:
    a = arm
    return np.array(
        [
            (-a, -1),
            (a, -1),
            (a, -a),
            (1, -a),
            (1, a),
            (a, a),
            (a, 1),
            (-a, 1),
            (-a, a),
            (-1, a),
            (-1, -a),
            (-a, -a),
        ],
        float,
    )


def _arrow() -> Points:
    return np.array([(-1, -0.4), (0.1, -0.4), (0.1, -1), (1, 0), (0.1, 1), (0.1, 0.4), (-1, 0.4)], float)


def _clover(leaves: int) -> Points:
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = 0.7 + 0.3 * np.cos(leaves * angle)
    return np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]


def _trapezium(rng: np.random.Generator) -> Points:
    top = rng.uniform(0.4, 0.8)
    return np.array([(-top, -0.8), (top, -0.8), (1, 0.8), (-1, 0.8)], float)


def _pillow(rng: np.random.Generator) -> Points:
    """A square whose sides bulge or sink."""
    side = np.linspace(-1, 1, 24, endpoint=False)
    bulge = rng.uniform(-0.3, 0.25) * (1 - side**2)
    edge = np.stack([side, -1 - bulge], 1)
    turn = np.array([[0, 1], [-1, 0]])
    parts = [edge]
    for _ in range(3):
        parts.append(parts[-1] @ turn)
    return np.concatenate(parts)


OUTLINES: tuple[Callable[[np.random.Generator], Points], ...] = (
    lambda rng: _circle() * (1, rng.uniform(0.7, 1)),
    lambda rng: _polygon(3),
    lambda rng: _polygon(4) * (1, rng.uniform(0.7, 1.3)),
    lambda rng: _polygon(int(rng.integers(5, 9))),
    lambda rng: _star(int(rng.integers(4, 9)), rng.uniform(0.4, 0.75)),
    lambda rng: _heart(),
    lambda rng: _blob(rng),
    lambda rng: _drop(),
    lambda rng: _plus(rng.uniform(0.3, 0.5)),
    lambda rng: _arrow(),
    lambda rng: _clover(int(rng.integers(3, 7))),
    lambda rng: _trapezium(rng),
    lambda rng: _pillow(rng),
)


def draw(rng: np.random.Generator, width: float, height: float) -> Mask:
    """(h, w) coverage from 0 to 1 of one random piece whose box is about `width` x `height` pixels, cut to
    that box."""
    kind = rng.random()
    canvas = _jigsaw(rng) if kind < 0.55 else _rectangle(rng) if kind < 0.7 else _outline(rng)
    if rng.random() < 0.3:
        canvas = _turned(canvas, rng.uniform(-25, 25) if rng.random() < 0.8 else rng.uniform(-180, 180))
    return fitted(canvas, width, height, rng)


def fitted(canvas: NDArray[np.uint8], width: float, height: float, rng: np.random.Generator) -> Mask:
    """The drawn part of `canvas`, scaled to about width x height, at a random sub-pixel place, cut to its
    box."""
    x, y, w, h = cv2.boundingRect(canvas)
    part = canvas[y : y + h, x : x + w]
    size = max(8, round(width * OVERSAMPLE)), max(8, round(height * OVERSAMPLE))
    part = cv2.resize(part, size, interpolation=cv2.INTER_AREA if size[0] < w else cv2.INTER_LINEAR)
    left, top = rng.integers(0, OVERSAMPLE, 2)
    right, bottom = -(part.shape[1] + left) % OVERSAMPLE, -(part.shape[0] + top) % OVERSAMPLE
    part = cv2.copyMakeBorder(
        part, int(top), int(bottom), int(left), int(right), cv2.BORDER_CONSTANT, value=0
    )
    small = cv2.resize(
        part, (part.shape[1] // OVERSAMPLE, part.shape[0] // OVERSAMPLE), interpolation=cv2.INTER_AREA
    )
    mask = small.astype(np.float32) / 255
    return trimmed(mask if rng.random() < 0.7 else (mask > 0.5).astype(np.float32))


def trimmed(mask: Mask) -> Mask:
    """Without the rows and columns in which nothing is half covered."""
    x, y, w, h = cv2.boundingRect((mask >= 0.5).astype(np.uint8))
    return mask[y : y + h, x : x + w]


def turned(mask: Mask, degrees: float) -> Mask:
    """The same shape, turned about its middle."""
    canvas = cv2.copyMakeBorder(
        (mask * 255).astype(np.uint8), *[max(mask.shape) // 3] * 4, cv2.BORDER_CONSTANT, value=0
    )
    return trimmed(_turned(canvas, degrees).astype(np.float32) / 255)


def _turned(canvas: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    height, width = canvas.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(canvas, matrix, (width, height), flags=cv2.INTER_LINEAR)


def _outline(rng: np.random.Generator) -> NDArray[np.uint8]:
    points = OUTLINES[rng.integers(len(OUTLINES))](rng)
    points = points / np.abs(points).max() * 110 + 200
    canvas = np.zeros((400, 400), np.uint8)
    cv2.fillPoly(canvas, [np.round(points * 8).astype(np.int32)], 255, shift=3)
    if rng.random() < 0.3:
        # Rounded corners.
        canvas = ((cv2.GaussianBlur(canvas, (0, 0), rng.uniform(4, 14)) > 127) * 255).astype(np.uint8)
    return canvas


def _rectangle(rng: np.random.Generator) -> NDArray[np.uint8]:
    canvas = np.zeros((400, 400), np.uint8)
    half_w, half_h = rng.uniform(70, 110, 2) if rng.random() < 0.4 else (100, 100)
    box = round(200 - half_w), round(200 - half_h), round(200 + half_w), round(200 + half_h)
    radius = rng.uniform(0.1, 0.9) * min(half_w, half_h) if rng.random() < 0.5 else 0
    _rounded(canvas, box, round(radius))
    return canvas


def _rounded(canvas: NDArray[np.uint8], box: tuple[int, int, int, int], radius: int) -> None:
    left, top, right, bottom = box
    if radius < 2:
        cv2.rectangle(canvas, (left, top), (right, bottom), 255, -1)
        return
    cv2.rectangle(canvas, (left + radius, top), (right - radius, bottom), 255, -1)
    cv2.rectangle(canvas, (left, top + radius), (right, bottom - radius), 255, -1)
    for x in (left + radius, right - radius):
        for y in (top + radius, bottom - radius):
            cv2.circle(canvas, (x, y), radius, 255, -1)


def rounded(width: int, height: int, radius: int) -> NDArray[np.uint8]:
    """(height, width): 255 in a rectangle with round corners that fills it, else 0."""
    canvas = np.zeros((height, width), np.uint8)
    _rounded(canvas, (0, 0, width - 1, height - 1), radius)
    return canvas


def _jigsaw(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A rectangle with a knob, a hole or nothing on each side."""
    canvas = np.zeros((400, 400), np.uint8)
    half_w = 75.0
    half_h = half_w * (1 if rng.random() < 0.6 else rng.uniform(0.75, 1.3))
    box = round(200 - half_w), round(200 - half_h), round(200 + half_w), round(200 + half_h)
    _rounded(canvas, box, round(rng.uniform(4, 20)) if rng.random() < 0.25 else 0)
    radius = half_w * rng.uniform(0.2, 0.42)
    # How far the knob's middle stands outside the side, in radii: 0 is half a disc, .8 a mushroom.
    reach = rng.uniform(0.0, 0.85)
    neck = rng.uniform(0.4, 0.9) * radius
    along = rng.uniform(-0.3, 0.3) * half_w if rng.random() < 0.3 else 0.0
    knobs = rng.choice([0, 1, -1], 4, p=[0.35, 0.35, 0.3])
    if not knobs.any():
        knobs[rng.integers(4)] = rng.choice([-1, 1])
    for (dx, dy), knob in zip(((1, 0), (-1, 0), (0, 1), (0, -1)), knobs, strict=True):
        if knob:
            _knob(canvas, (half_w, half_h), (dx, dy), int(knob), (radius, reach, neck, along))
    return canvas


def _knob(
    canvas: NDArray[np.uint8],
    half: tuple[float, float],
    side: tuple[int, int],
    sign: int,
    form: tuple[float, float, float, float],
) -> None:
    radius, reach, neck, along = form
    dx, dy = side
    colour = 255 if sign > 0 else 0
    edge_x, edge_y = 200 + dx * half[0] + abs(dy) * along, 200 + dy * half[1] + abs(dx) * along
    out = sign * reach * radius
    middle = edge_x + dx * out, edge_y + dy * out
    cv2.circle(canvas, (round(middle[0] * 8), round(middle[1] * 8)), round(radius * 8), colour, -1, shift=3)
    side_x, side_y = abs(dy) * neck, abs(dx) * neck
    corners = np.array(
        [
            (edge_x - side_x, edge_y - side_y),
            (edge_x + side_x, edge_y + side_y),
            (middle[0] + side_x, middle[1] + side_y),
            (middle[0] - side_x, middle[1] - side_y),
        ]
    )
    cv2.fillPoly(canvas, [np.round(corners * 8).astype(np.int32)], colour, shift=3)
