"""Scenes to click in, drawn from nothing: five levels, seeded, with the place of every object and which one
is asked for.

    python -m training.click.data OUT.png [--level 3] [--seed 7]              a sheet of twelve scenes
    python -m training.click.data tests/recognizers/samples/click --samples    the tests' pictures

Levels: 1 plain; 2 textured, with rotation and scale; 3 colour jitter on top; 4 discs with pictures in them;
5 rendered solids.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Rng = np.random.Generator

LEVELS = ("plain", "textured", "jittered", "photo discs", "solids")
SPRITE = 160


class Asked(StrEnum):
    """The questions that a scene can be drawn for."""

    ODD = "Please click on the object that appears only once"
    UNIFORM = "Please click the center of a circle where all the shapes are of the same color"
    PAIR = "Please click on the two elements that are identical"
    LARGEST = "Please click on the largest object"
    SMALLEST = "Please click on the smallest object"


# The tests' pictures: question and level.
SAMPLES_SEED = 21
SAMPLES = (
    (Asked.ODD, 1),
    (Asked.ODD, 4),
    (Asked.UNIFORM, 4),
    (Asked.PAIR, 1),
    (Asked.LARGEST, 1),
    (Asked.SMALLEST, 1),
)
# Things to ask for in the scene of our own drawings.
NAMED_SAMPLES = ("heart", "snowman")
TILE_SAMPLES = ("heart", "traffic light", "star", "heart")


@dataclass(frozen=True, slots=True)
class Place:
    """Centre and half the longer side of an object, in pixels; `wanted` if a click there is right."""

    x: float
    y: float
    radius: float
    wanted: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """`rgb` (H, W, 3), what is asked, every object, and `mask` (H, W) with 255 where objects are."""

    rgb: Image
    asked: Asked
    places: tuple[Place, ...]
    mask: Image


@dataclass(frozen=True, slots=True)
class Sprite:
    """One object to paste: `rgba` (side, side, 4)."""

    rgba: Image


def scene(rng: Rng, level: int, asked: Asked = Asked.ODD) -> Scene:
    """One scene of a level from 1 to 5."""
    height, width = _size(rng)
    ground = _plain(rng, height, width) if level == 1 else _ground(rng, height, width)
    count = int(rng.integers(6, 12))
    radius = min(height, width) * rng.uniform(0.075, 0.105)
    scales = _scales(rng, count, level, asked)
    spots = _spots(rng, height, width, radius * scales * (1.0 if level == 4 else 1.05))
    scales = scales[: len(spots)]
    designs, wanted = _designs(rng, len(spots), level, asked)
    if asked in (Asked.LARGEST, Asked.SMALLEST):
        wanted = np.arange(len(spots)) == (scales.argmax() if asked is Asked.LARGEST else scales.argmin())
    mask = np.zeros((height, width), np.uint8)
    places = []
    for (x, y), scale, design, right in zip(spots, scales, designs, wanted, strict=True):
        sprite = design(rng)
        if level in (3, 5):
            sprite = _jittered(rng, sprite, 18 if level == 3 else 6)
        angle = rng.uniform(0, 360) if level in (2, 3) else 0.0
        places.append(_paste(ground, mask, sprite, x, y, radius * scale, angle, bool(right)))
    if level == 4 and rng.random() < 0.35:
        ground = _clouded(rng, ground)
    return Scene(_noised(rng, ground, level), asked, tuple(places), mask)


def _size(rng: Rng) -> tuple[int, int]:
    sizes = ((512, 512), (512, 512), (400, 600), (431, 501), (360, 360), (333, 500))
    return sizes[int(rng.integers(len(sizes)))]


def _scales(rng: Rng, count: int, level: int, asked: Asked) -> Floats:
    if asked in (Asked.LARGEST, Asked.SMALLEST):
        steps = rng.permutation(np.linspace(0.65, 0.95, count))
        edge = steps.argmax() if asked is Asked.LARGEST else steps.argmin()
        steps[edge] *= 1.35 if asked is Asked.LARGEST else 0.72
        return steps
    return rng.uniform(0.8, 1.15, count) if level in (2, 3) else np.ones(count)


def _spots(rng: Rng, height: int, width: int, radii: Floats) -> list[tuple[float, float]]:
    """Centres that keep their objects apart and inside; fewer than asked if there is no room."""
    spots: list[tuple[float, float]] = []
    for radius in radii:
        for _ in range(200):
            x, y = rng.uniform(radius + 2, width - radius - 2), rng.uniform(radius + 2, height - radius - 2)
            if all(
                np.hypot(x - a, y - b) > radius + other + 2
                for (a, b), other in zip(spots, radii, strict=False)
            ):
                spots.append((float(x), float(y)))
                break
        else:
            break
    return spots


Design = Callable[[Rng], Sprite]


def _designs(rng: Rng, count: int, level: int, asked: Asked) -> tuple[list[Design], NDArray[np.bool_]]:
    """A design for each place, and which places are wanted."""
    wanted = np.zeros(count, bool)
    if asked is Asked.UNIFORM:
        wanted[int(rng.integers(count))] = True
        return [_shape_disc(bool(right)) for right in wanted], wanted
    make = {4: photo, 5: solid}.get(level, icon)
    if asked is Asked.PAIR:
        wanted[rng.permutation(count)[:2]] = True
        twin = make(rng, None)
        return [twin if right else make(rng, None) for right in wanted], wanted
    wanted[int(rng.integers(count))] = True
    common = make(rng, None)
    other = make(rng, common)
    return [other if right else common for right in wanted], wanted


# ---- objects ---------------------------------------------------------------------------------------------


def _colour(rng: Rng) -> tuple[int, int, int]:
    hsv = np.uint8([[[rng.integers(180), rng.integers(60, 256), rng.integers(70, 256)]]])
    red, green, blue = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]
    return int(red), int(green), int(blue)


def _outline(rng: Rng) -> Floats:
    """The outline of a shape as (n, 2) points within the unit circle."""
    kind = int(rng.integers(7))
    turn = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    if kind == 0:  # polygon
        corners = int(rng.integers(3, 8))
        angle = np.arange(corners) * 2 * np.pi / corners - np.pi / 2
        return np.stack([np.cos(angle), np.sin(angle)], 1)
    if kind == 1:  # star
        points, inner = int(rng.integers(4, 9)), rng.uniform(0.35, 0.7)
        angle = np.arange(2 * points) * np.pi / points - np.pi / 2
        reach = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner)
        return np.stack([reach * np.cos(angle), reach * np.sin(angle)], 1)
    if kind == 2:  # flower or gear
        petals, depth = int(rng.integers(3, 9)), rng.uniform(0.1, 0.35)
        wave = np.sin(petals * turn)
        reach = 1 - depth + depth * (np.sign(wave) if rng.random() < 0.4 else wave)
        return np.stack([reach * np.cos(turn), reach * np.sin(turn)], 1)
    if kind == 3:  # ellipse or box
        flat, power = rng.uniform(0.4, 1), rng.choice([1.0, 0.35])
        x, y = np.cos(turn), np.sin(turn)
        return np.stack([np.sign(x) * abs(x) ** power, flat * np.sign(y) * abs(y) ** power], 1) * (
            1.0 if power == 1 else 0.8
        )
    if kind == 4:  # drop or heart
        x, y = 0.95 * np.sin(turn) ** 3, 0.8 * np.cos(turn) - 0.3 * np.cos(2 * turn) - 0.1 * np.cos(3 * turn)
        return np.stack([x, -y * rng.uniform(0.8, 1)], 1)
    if kind == 5:  # cross or arrow
        arm = rng.uniform(0.2, 0.4)
        if rng.random() < 0.5:
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
                ]
            )
        return np.array(
            [(0, -1), (0.9, -0.1), (arm, -0.1), (arm, 0.95), (-arm, 0.95), (-arm, -0.1), (-0.9, -0.1)]
        )
    # a lump of its own
    reach = np.ones_like(turn)
    for wave_count in range(2, 6):
        reach += rng.normal(0, 0.22) * np.cos(wave_count * turn + rng.uniform(0, 6.28))
    reach = np.clip(reach, 0.3, None) / reach.max()
    return np.stack([reach * np.cos(turn), reach * np.sin(turn)], 1)


def _fill(canvas: Image, outline: Floats, colour: tuple[int, ...], scale: float, shift: Floats) -> None:
    points = (outline * scale + shift) * SPRITE / 2 + SPRITE / 2
    cv2.fillPoly(canvas, [np.rint(points * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)


def icon(rng: Rng, unlike: Design | None) -> Design:
    """A drawn thing: an outline in a colour, with an edge and details inside."""
    rgba = np.zeros((SPRITE, SPRITE, 4), np.uint8)
    body, paint = _outline(rng), _colour(rng)
    middle = np.zeros(2)
    edge = rng.random() < 0.6
    if edge:
        dark = int(rng.integers(0, 70))
        _fill(rgba, body, (dark, dark, dark, 255), 0.97, middle)
    _fill(rgba, body, (*paint, 255), 0.86 if edge else 0.97, middle)
    for _ in range(int(rng.integers(1, 4))):
        detail, spot = _outline(rng), rng.uniform(-0.3, 0.3, 2)
        layer = np.zeros_like(rgba)
        _fill(layer, detail, (*_colour(rng), 255), rng.uniform(0.15, 0.4), spot)
        inside = (layer[..., 3:] / 255.0) * (rgba[..., 3:] > 0)
        rgba = np.where(inside > 0, rgba * (1 - inside) + layer * inside, rgba).astype(np.uint8)
    return lambda _: Sprite(rgba)


def photo(rng: Rng, unlike: Design | None) -> Design:
    """A disc with a picture in it: a small scene with one thing, as a photo would show it; each disc may be
    faded."""
    picture = _scenery(rng, SPRITE, SPRITE)
    rgba = icon(rng, None)(rng).rgba
    alpha = cv2.resize(rgba, None, fx=0.85, fy=0.85)
    margin = (SPRITE - alpha.shape[0]) // 2
    part = picture[margin : margin + alpha.shape[0], margin : margin + alpha.shape[1]]
    light = np.linspace(1.2, 0.6, alpha.shape[0])[:, None, None]
    weight = alpha[..., 3:] / 255.0
    part[:] = np.clip(part * (1 - weight) + alpha[..., :3] * light * weight, 0, 255)

    def draw(each: Rng) -> Sprite:
        strength = each.uniform(0.55, 1.0) if each.random() < 0.5 else 1.0
        faded = np.clip(picture * each.uniform(0.85, 1.15) + each.normal(0, 8), 0, 255)
        disc = np.zeros((SPRITE, SPRITE), np.uint8)
        cv2.circle(disc, (SPRITE // 2, SPRITE // 2), SPRITE // 2 - 1, int(255 * strength), -1, cv2.LINE_AA)
        return Sprite(np.dstack([faded.astype(np.uint8), disc]))

    return draw


def _shape_disc(uniform: bool) -> Design:
    """A white disc with four small shapes, of one colour or of several."""

    def draw(rng: Rng) -> Sprite:
        rgba = np.full((SPRITE, SPRITE, 4), 255, np.uint8)
        colours = [
            (208, 32, 32),
            (32, 60, 208),
            (30, 140, 50),
            (235, 160, 20),
            (130, 30, 150),
            (20, 190, 200),
        ]
        order = rng.permutation(len(colours))
        for place in range(4):
            colour = colours[order[0 if uniform else place % int(rng.integers(2, 5))]]
            if not uniform and place == 3:
                colour = colours[order[1]]
            angle = place * np.pi / 2 + rng.uniform(-0.2, 0.2)
            _fill(rgba, _outline(rng), (*colour, 255), 0.2, 0.5 * np.array([np.cos(angle), np.sin(angle)]))
        disc = np.zeros((SPRITE, SPRITE), np.uint8)
        cv2.circle(
            disc,
            (SPRITE // 2, SPRITE // 2),
            SPRITE // 2 - 1,
            int(255 * rng.choice([1.0, 0.85])),
            -1,
            cv2.LINE_AA,
        )
        rgba[..., 3] = disc
        return Sprite(rgba)

    return draw


def _mesh(rng: Rng, kind: int) -> tuple[Floats, list[list[int]]]:
    """Points and faces of a convex solid of revolution or of a box, within the unit sphere."""
    sides = (4, 3, 4, 16, 16, 6, 12)[kind]
    tall = (0.6, 0.75, 0.75, 0.7, 0.8, 0.65, 0.0)[kind]
    angle = np.arange(sides) * 2 * np.pi / sides + np.pi / sides
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(sides)], 1)
    if kind == 6:  # ball
        levels = np.linspace(-np.pi / 2, np.pi / 2, 8)
        points = np.concatenate([ring * np.cos(v) + [0, 0, np.sin(v)] for v in levels]) * 0.85
        faces = [
            [
                r * sides + s,
                r * sides + (s + 1) % sides,
                (r + 1) * sides + (s + 1) % sides,
                (r + 1) * sides + s,
            ]
            for r in range(7)
            for s in range(sides)
        ]
        return points, faces
    wide = np.sqrt(1 - tall * tall)
    low = ring * wide + [0, 0, -tall]
    if kind in (1, 2, 4):  # pyramids and the cone
        points = np.concatenate([low, [[0, 0, 0.95]]])
        return points, [list(range(sides))[::-1]] + [[s, (s + 1) % sides, sides] for s in range(sides)]
    points = np.concatenate([low, ring * wide + [0, 0, tall]])
    return points, [list(range(sides))[::-1], list(range(sides, 2 * sides))] + [
        [s, (s + 1) % sides, sides + (s + 1) % sides, sides + s] for s in range(sides)
    ]


@dataclass(frozen=True, slots=True)
class Solid:
    """A solid that is drawn anew, turned a little, at each place."""

    kind: int
    colour: tuple[int, int, int]
    tilt: float

    def __call__(self, rng: Rng) -> Sprite:
        points, faces = _mesh(rng, self.kind)
        turned = (
            points
            @ _rotation(self.tilt + rng.uniform(-0.12, 0.12), rng.uniform(0, 6.28), rng.uniform(-0.3, 0.3)).T
        )
        rgba = np.zeros((SPRITE, SPRITE, 4), np.uint8)
        light = np.array([-0.4, -0.6, 0.7])
        shaded = []
        for face in faces:
            corner = turned[face]
            normal = np.cross(corner[1] - corner[0], corner[2] - corner[0])
            normal /= np.linalg.norm(normal) + 1e-9
            if normal @ corner.mean(0) < 0:
                normal = -normal
            if normal[2] > 0:
                shaded.append(
                    (corner[:, 2].mean(), corner[:, :2], 0.35 + 0.65 * max(0.0, float(normal @ light)))
                )
        for _, flat, bright in sorted(shaded, key=lambda each: each[0]):
            colour = tuple(int(min(255, v * bright)) for v in self.colour)
            _fill(rgba, flat, (*colour, 255), 0.97, np.zeros(2))
        return Sprite(rgba)


def solid(rng: Rng, unlike: Design | None) -> Design:
    """A shaded solid; one that is `unlike` another differs from it in kind, or else in colour."""
    if not isinstance(unlike, Solid):
        return Solid(int(rng.integers(7)), _colour(rng), rng.uniform(0.9, 1.3))
    if rng.random() < 0.7:
        # The two pyramids, and cylinder and prism, are too alike from some sides to be told apart by anyone.
        group = {1: 1, 2: 1, 3: 3, 5: 3}
        kinds = [k for k in range(7) if group.get(k, k) != group.get(unlike.kind, unlike.kind)]
        return Solid(int(rng.choice(kinds)), unlike.colour, unlike.tilt)
    while True:
        colour = _colour(rng)
        if np.abs(np.subtract(colour, unlike.colour)).sum() > 160:
            return Solid(unlike.kind, colour, unlike.tilt)


def _rotation(tilt: float, spin: float, roll: float) -> Floats:
    (a, b), (c, d), (e, f) = ((np.cos(v), np.sin(v)) for v in (tilt, spin, roll))
    about_x = np.array([[1, 0, 0], [0, a, b], [0, -b, a]])
    about_z = np.array([[c, -d, 0], [d, c, 0], [0, 0, 1]])
    in_plane = np.array([[e, -f, 0], [f, e, 0], [0, 0, 1]])
    return in_plane @ about_x @ about_z


# ---- things with names -----------------------------------------------------------------------------------


def _blank() -> Image:
    return np.zeros((SPRITE, SPRITE, 4), np.uint8)


def _dot(rgba: Image, x: float, y: float, radius: float, colour: tuple[int, ...]) -> None:
    place, reach = (round(SPRITE * x), round(SPRITE * y)), round(SPRITE * radius)
    cv2.circle(rgba, place, reach, (*colour, 255), -1, cv2.LINE_AA)


def _shape(rgba: Image, points: list[tuple[float, float]], colour: tuple[int, ...]) -> None:
    outline = np.rint(np.array(points) * SPRITE * 16).astype(np.int32)
    cv2.fillPoly(rgba, [outline], (*colour, 255), cv2.LINE_AA, 4)


def _box(rgba: Image, left: float, top: float, right: float, bottom: float, colour: tuple[int, ...]) -> None:
    _shape(rgba, [(left, top), (right, top), (right, bottom), (left, bottom)], colour)


def _heart() -> Image:
    rgba, turn = _blank(), np.linspace(0, 2 * np.pi, 200)
    x = 16 * np.sin(turn) ** 3
    y = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
    _shape(rgba, list(zip(0.5 + x / 36, 0.45 - y / 36, strict=True)), (215, 30, 45))
    return rgba


def _star() -> Image:
    rgba, turn = _blank(), np.arange(10) * np.pi / 5 - np.pi / 2
    reach = np.where(np.arange(10) % 2 == 0, 0.48, 0.2)
    points = zip(0.5 + reach * np.cos(turn), 0.52 + reach * np.sin(turn), strict=True)
    _shape(rgba, list(points), (250, 200, 40))
    return rgba


def _house() -> Image:
    rgba = _blank()
    _box(rgba, 0.18, 0.45, 0.82, 0.95, (235, 215, 170))
    _shape(rgba, [(0.5, 0.08), (0.95, 0.47), (0.05, 0.47)], (180, 60, 45))
    _box(rgba, 0.27, 0.6, 0.43, 0.95, (110, 70, 40))
    _box(rgba, 0.54, 0.57, 0.72, 0.74, (150, 205, 240))
    return rgba


def _traffic_light() -> Image:
    rgba = _blank()
    _box(rgba, 0.33, 0.04, 0.67, 0.96, (55, 60, 65))
    for y, colour in ((0.2, (225, 50, 40)), (0.5, (245, 200, 40)), (0.8, (60, 190, 80))):
        _dot(rgba, 0.5, y, 0.12, colour)
    return rgba


def _snowman() -> Image:
    rgba = _blank()
    _dot(rgba, 0.5, 0.7, 0.28, (238, 244, 250))
    _dot(rgba, 0.5, 0.33, 0.19, (238, 244, 250))
    _box(rgba, 0.36, 0.02, 0.64, 0.17, (45, 45, 55))
    _box(rgba, 0.27, 0.15, 0.73, 0.2, (45, 45, 55))
    for x, y in ((0.43, 0.3), (0.57, 0.3), (0.5, 0.6), (0.5, 0.72), (0.5, 0.84)):
        _dot(rgba, x, y, 0.025, (40, 40, 50))
    _shape(rgba, [(0.5, 0.34), (0.5, 0.4), (0.68, 0.39)], (240, 130, 40))
    return rgba


def _tree() -> Image:
    rgba = _blank()
    _box(rgba, 0.44, 0.55, 0.56, 0.96, (115, 75, 45))
    for x, y, radius in ((0.5, 0.3, 0.26), (0.3, 0.42, 0.2), (0.7, 0.42, 0.2)):
        _dot(rgba, x, y, radius, (70, 150, 60))
    return rgba


DRAWINGS = {
    "heart": _heart,
    "star": _star,
    "house": _house,
    "traffic light": _traffic_light,
    "snowman": _snowman,
    "tree": _tree,
}


def named_scene(rng: Rng, wanted: str) -> tuple[Image, Place]:
    """(256, 256, 3) with one of each of our drawings on a textured ground, and where the wanted one is."""
    ground = _noise(rng, 256, 256)
    spots = _spots(rng, 256, 256, np.full(len(DRAWINGS), 38.0))
    mask, found = np.zeros((256, 256), np.uint8), None
    for (x, y), name in zip(spots, sorted(DRAWINGS, key=lambda name: name != wanted), strict=False):
        place = _paste(ground, mask, Sprite(DRAWINGS[name]()), x, y, 32, 0.0, name == wanted)
        found = place if name == wanted else found
    assert found is not None
    return ground, found


def tile(rng: Rng, name: str) -> Image:
    """(128, 128, 3) a drawing by itself."""
    ground = _noise(rng, 128, 128)
    _paste(ground, np.zeros((128, 128), np.uint8), Sprite(DRAWINGS[name]()), 64, 64, 50, 0.0, True)
    return ground


# ---- backgrounds -----------------------------------------------------------------------------------------


def _smooth(rng: Rng, height: int, width: int, cell: float, channels: int = 1) -> Floats:
    """Smooth noise from 0 to 1 with features of about `cell` pixels."""
    rows, columns = max(2, round(height / cell)), max(2, round(width / cell))
    noise = rng.random((rows, columns, channels))
    grown = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)
    low, high = grown.min((0, 1)), grown.max((0, 1))
    return (grown - low) / (high - low + 1e-9)


def _palette(rng: Rng) -> Floats:
    return np.array([_colour(rng) for _ in range(int(rng.integers(4, 9)))], float)


def _plain(rng: Rng, height: int, width: int) -> Image:
    first, second = np.array(_colour(rng), float), rng.normal(0, 18, 3)
    slope = _smooth(rng, height, width, 400)
    return np.clip(first + slope * second, 0, 255).astype(np.uint8)


def _ground(rng: Rng, height: int, width: int) -> Image:
    makers = (_blocks, _voronoi, _noise, _lines, _scenery)
    return makers[int(rng.integers(len(makers)))](rng, height, width)


def _blocks(rng: Rng, height: int, width: int) -> Image:
    cell = int(rng.integers(8, 20))
    rows, columns = -(-height // cell), -(-width // cell)
    field = _smooth(rng, rows, columns, rng.uniform(3, 8))[..., 0] + rng.normal(0, 0.05, (rows, columns))
    palette = _palette(rng)
    steps = np.clip((field * len(palette)).astype(int), 0, len(palette) - 1)
    return cv2.resize(
        palette[steps].astype(np.uint8), (columns * cell, rows * cell), interpolation=cv2.INTER_NEAREST
    )[:height, :width].copy()


def _voronoi(rng: Rng, height: int, width: int) -> Image:
    seeds = rng.random((int(rng.integers(20, 120)), 2)) * (width, height)
    y, x = np.mgrid[:height:2, :width:2]
    nearest = np.argmin((x[..., None] - seeds[:, 0]) ** 2 + (y[..., None] - seeds[:, 1]) ** 2, -1)
    palette = _palette(rng)
    small = palette[rng.integers(len(palette), size=len(seeds))][nearest]
    return cv2.resize(small.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)


def _noise(rng: Rng, height: int, width: int) -> Image:
    total = sum(
        _smooth(rng, height, width, cell, 3) * weight for cell, weight in ((160, 0.6), (50, 0.25), (14, 0.15))
    )
    low, high = np.array(_colour(rng), float), np.array(_colour(rng), float)
    return np.clip(low + (high - low) * total, 0, 255).astype(np.uint8)


def _lines(rng: Rng, height: int, width: int) -> Image:
    ground = _plain(rng, height, width)
    for _ in range(int(rng.integers(15, 60))):
        ends = (rng.random((2, 2)) * (width, height) * 1.4 - (0.2 * width, 0.2 * height)).astype(int)
        cv2.line(
            ground,
            tuple(map(int, ends[0])),
            tuple(map(int, ends[1])),
            _colour(rng),
            int(rng.integers(1, 5)),
            cv2.LINE_AA,
        )
    return ground


def _scenery(rng: Rng, height: int, width: int) -> Image:
    """Something like a painted landscape: layers of hills, blobs and grain."""
    picture = _noise(rng, height, width).astype(float)
    columns = np.arange(width)
    for layer in range(int(rng.integers(2, 6))):
        ridge = height * (0.2 + 0.16 * layer) + sum(
            rng.uniform(2, height / 18) * np.sin(columns / (width * share) * 6.28 + rng.uniform(0, 6.28))
            for share in (0.2, 0.45, 1.1)
        )
        below = np.arange(height)[:, None] > ridge
        grain = _smooth(rng, height, width, rng.uniform(4, 20)) * 50 - 25
        picture = np.where(below[..., None], np.array(_colour(rng)) * 0.7 + grain, picture)
    return np.clip(picture, 0, 255).astype(np.uint8)


# ---- putting together ------------------------------------------------------------------------------------


def _jittered(rng: Rng, sprite: Sprite, strength: float) -> Sprite:
    hsv = cv2.cvtColor(sprite.rgba[..., :3], cv2.COLOR_RGB2HSV).astype(float)
    hsv[..., 0] = (hsv[..., 0] + rng.normal(0, strength / 2)) % 180
    hsv[..., 1:] = np.clip(hsv[..., 1:] * rng.uniform(1 - strength / 60, 1 + strength / 60, 2), 0, 255)
    rgb = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    return Sprite(np.dstack([rgb, sprite.rgba[..., 3]]))


def _paste(
    ground: Image, mask: Image, sprite: Sprite, x: float, y: float, radius: float, angle: float, wanted: bool
) -> Place:
    """Pastes in place and returns the object's box as it can be seen."""
    height, width = ground.shape[:2]
    matrix = cv2.getRotationMatrix2D((SPRITE / 2, SPRITE / 2), angle, 2 * radius / SPRITE)
    matrix[:, 2] += (x - SPRITE / 2, y - SPRITE / 2)
    small = cv2.GaussianBlur(sprite.rgba, (0, 0), max(0.01, SPRITE / (2 * radius) / 3))
    laid = cv2.warpAffine(small, matrix, (width, height), flags=cv2.INTER_LINEAR)
    alpha = laid[..., 3:] / 255.0
    ground[:] = (ground * (1 - alpha) + laid[..., :3] * alpha).astype(np.uint8)
    shown = laid[..., 3] > 60
    mask[shown] = 255
    rows, columns = np.nonzero(shown.any(1))[0], np.nonzero(shown.any(0))[0]
    half = max(rows[-1] - rows[0], columns[-1] - columns[0]) / 2 + 0.5
    return Place((columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2, float(half), wanted)


def _clouded(rng: Rng, rgb: Image) -> Image:
    haze = _smooth(rng, *rgb.shape[:2], 120)
    strength = rng.uniform(0.2, 0.5)
    return np.clip(rgb * (1 - strength) + 255 * strength * haze, 0, 255).astype(np.uint8)


def _noised(rng: Rng, rgb: Image, level: int) -> Image:
    """What a camera or an encoder does: a little noise and JPEG."""
    noisy = np.clip(rgb + rng.normal(0, rng.uniform(0, 4), rgb.shape), 0, 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", noisy[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(75, 96))])
    assert done
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def on_page(rng: Rng, drawn: Scene) -> Scene:
    """The scene as a screenshot has it: on flat paper with a band of words above, a button below, or neither,
    and a margin of any width."""
    height, width = drawn.rgb.shape[:2]
    # Right, bottom, left.
    margins = rng.integers(4, 60, 3) * (rng.random(3) < 0.7)
    band = int(rng.integers(50, 150)) if rng.random() < 0.8 else 0
    top = band + (int(rng.integers(4, 30)) if rng.random() < 0.6 or not band else 0)
    bottom = int(margins[1]) + (int(rng.integers(30, 90)) if rng.random() < 0.5 else 0)
    left, right = int(margins[2]), int(margins[0])
    paper = int(rng.choice([255, 250, 240, 225, 45, 25]))
    page = np.full((top + height + bottom, left + width + right, 3), paper, np.uint8)
    if band:
        page[:band] = _colour(rng) if rng.random() < 0.5 else paper
        _write(rng, page[:band], int(rng.integers(1, 4)))
    if bottom > 30:
        _write(rng, page[top + height + 4 :, -min(page.shape[1], 150) :], 1)
    page[top : top + height, left : left + width] = drawn.rgb
    mask = np.zeros(page.shape[:2], np.uint8)
    mask[top : top + height, left : left + width] = drawn.mask
    places = tuple(Place(p.x + left, p.y + top, p.radius, p.wanted) for p in drawn.places)
    _, data = cv2.imencode(".jpg", page[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(75, 96))])
    rgb = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    return Scene(rgb, drawn.asked, places, mask)


def _write(rng: Rng, paper: Image, lines: int) -> None:
    """Lines of letters, in a colour that can be read."""
    ink = (30, 30, 30) if paper[0, 0].mean() > 128 else (235, 235, 235)
    for line in range(lines):
        words = "".join(chr(int(c)) for c in rng.integers(97, 123, int(rng.integers(8, 30))))
        spot = 10, round((line + 0.7) * paper.shape[0] / lines)
        cv2.putText(paper, words, spot, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.5, 0.9), ink, 1, cv2.LINE_AA)


def sheet(level: int, seed: int, asked: Asked) -> Image:
    """Twelve scenes with a ring around what is wanted."""
    rng = np.random.default_rng((seed, level))
    tiles = []
    for _ in range(12):
        drawn = scene(rng, level, asked)
        shown = drawn.rgb.copy()
        for place in drawn.places:
            cv2.circle(
                shown,
                (round(place.x), round(place.y)),
                round(place.radius),
                (255, 0, 80) if place.wanted else (0, 0, 0),
                3,
            )
        tiles.append(cv2.resize(shown, (300, 300)))
    return np.vstack([np.hstack(tiles[i : i + 4]) for i in (0, 4, 8)])


def samples(folder: Path) -> None:
    """The tests' pictures: a scene for each question, 256 pixels wide, with what is right in labels.json."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for asked, level in SAMPLES:
        drawn = scene(np.random.default_rng((SAMPLES_SEED, level)), level, asked)
        scale = 256 / drawn.rgb.shape[1]
        small = cv2.resize(drawn.rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        name = f"{asked.name.lower()}-{level}.jpg"
        cv2.imwrite(str(folder / name), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        wanted = [
            [round(p.x * scale), round(p.y * scale), round(p.radius * scale)]
            for p in drawn.places
            if p.wanted
        ]
        rows.append({"file": name, "question": asked.value, "wanted": wanted})
    for name in NAMED_SAMPLES:
        picture, place = named_scene(np.random.default_rng(SAMPLES_SEED), name)
        cv2.imwrite(str(folder / f"named-{name}.png"), picture[..., ::-1])
        right = [[round(place.x), round(place.y), round(place.radius)]]
        rows.append({"file": f"named-{name}.png", "question": f"Please click on the {name}", "wanted": right})
    for index, name in enumerate(TILE_SAMPLES):
        drawn = tile(np.random.default_rng((SAMPLES_SEED, index)), name)
        cv2.imwrite(str(folder / f"tile-{index}.png"), drawn[..., ::-1])
    (folder / "labels.json").write_text(json.dumps(rows, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--samples", action="store_true")
    parser.add_argument("--level", type=int, choices=range(1, 6), default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--asked", choices=[each.name for each in Asked], default="ODD")
    arguments = parser.parse_args()
    if arguments.samples:
        return samples(Path(arguments.out))
    cv2.imwrite(arguments.out, sheet(arguments.level, arguments.seed, Asked[arguments.asked])[..., ::-1])
    return None


if __name__ == "__main__":
    main()
