"""Backgrounds for slider pictures: crops of free photos, cut-out objects, procedural textures, and things
that look like gaps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
# Photos are kept at this length of their longer side: a background is 240-700 pixels wide.
LONGEST = 1400
MINIMUM = 200
# Every sixth photo is kept for validation, and no crop of it is ever trained on.
HELD_OUT_EVERY = 6


@dataclass(frozen=True, slots=True)
class Photos:
    """`scenes` (H, W, 3) RGB and `objects` (H, W, 4) RGBA with transparent surroundings."""

    scenes: list[Pixels]
    objects: list[Pixels]


def load(folder: Path, held_out: bool) -> Photos:
    """The photos under `folder`: the part for validation, or all the rest. Raises `FileNotFoundError` if
    there are none."""
    files = sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in SUFFIXES and p.is_file() and "screenshot" not in p.name
    )
    scenes: list[Pixels] = []
    objects: list[Pixels] = []
    for index, file in enumerate(files):
        if (index % HELD_OUT_EVERY == 0) == held_out:
            _keep(cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED), scenes, objects)
    if not scenes or not objects:
        raise FileNotFoundError(
            f"no photos under {folder}; unpack them with training/slider/photos.sh {folder}"
        )
    return Photos(scenes, objects)


def _keep(picture: Pixels | None, scenes: list[Pixels], objects: list[Pixels]) -> None:
    if picture is None or min(picture.shape[:2]) < MINIMUM or picture.dtype != np.uint8:
        return
    scale = LONGEST / max(picture.shape[:2])
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    cut_out = picture.shape[2] == 4 and (picture[:, :, 3] < 128).mean() > 0.05
    scale = scale / 5 if cut_out else scale
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if cut_out:
        objects.append(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA))
    else:
        scenes.append(cv2.cvtColor(picture[:, :, :3], cv2.COLOR_BGR2RGB))


def background(rng: np.random.Generator, photos: Photos, width: int, height: int) -> Pixels:
    """(height, width, 3) RGB: what a slider picture looks like before anything is cut out of it."""
    plain = not photos.scenes or rng.random() < 0.15
    picture = _texture(rng, width, height) if plain else _crop(rng, photos, width, height)
    if photos.objects and rng.random() < 0.3:
        for _ in range(rng.integers(1, 4)):
            _paste(rng, picture, photos.objects[rng.integers(len(photos.objects))])
    if rng.random() < 0.25:
        HARD[rng.integers(len(HARD))](rng, picture)
    return _recoloured(rng, picture)


def _crop(rng: np.random.Generator, photos: Photos, width: int, height: int) -> Pixels:
    scene = photos.scenes[rng.integers(len(photos.scenes))]
    most = min(scene.shape[1] / width, scene.shape[0] / height)
    scale = most * rng.uniform(0.25, 1) if most > 0.8 else most
    scale = max(scale, min(most, 0.6))
    w, h = max(8, int(width * scale)), max(8, int(height * scale))
    x, y = rng.integers(0, scene.shape[1] - w + 1), rng.integers(0, scene.shape[0] - h + 1)
    part = scene[y : y + h, x : x + w]
    picture = cv2.resize(
        part, (width, height), interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    )
    return picture[:, ::-1].copy() if rng.random() < 0.5 else picture


def _recoloured(rng: np.random.Generator, picture: Pixels) -> Pixels:
    if rng.random() < 0.4:
        picture = picture[:, :, rng.permutation(3)]
    if rng.random() < 0.6:
        levels = np.arange(256) / 255
        gain, gamma, lift = rng.uniform(0.6, 1.25), np.exp(rng.uniform(-0.6, 0.6)), rng.uniform(-0.1, 0.15)
        table = np.clip((levels**gamma * gain + lift) * 255, 0, 255).astype(np.uint8)
        picture = cv2.LUT(np.ascontiguousarray(picture), table)
    if rng.random() < 0.2:
        grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)[:, :, None]
        mix = rng.uniform(0.3, 1)
        picture = (picture * (1 - mix) + grey * mix).astype(np.uint8)
    if rng.random() < 0.1:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 3))
    if rng.random() < 0.1:
        noise = rng.normal(0, rng.uniform(2, 10), (*picture.shape[:2], 1))
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(picture)


def colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """A random colour, half of the time a grey."""
    if rng.random() < 0.5:
        level = int(rng.integers(0, 256))
        return level, level, level
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    return red, green, blue


def _texture(rng: np.random.Generator, width: int, height: int) -> Pixels:
    return TEXTURES[rng.integers(len(TEXTURES))](rng, width, height)


def _clouds(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Smooth noise of several scales between two or three colours."""
    channels = 1 if rng.random() < 0.5 else 3
    total = np.zeros((height, width, channels), np.float32)
    for octave in range(rng.integers(1, 6)):
        cells = 2 ** (octave + 1)
        noise = rng.random((cells + 1, 2 * cells + 1, channels), np.float32) - 0.5
        smooth = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(
            height, width, channels
        )
        total += smooth * rng.uniform(0.4, 0.8) ** octave
    total = np.clip(total + 0.5, 0, 1)
    low, high = np.array(colour(rng), np.float32), np.array(colour(rng), np.float32)
    return (low + (high - low) * total).astype(np.uint8)


def _gradient(rng: np.random.Generator, width: int, height: int) -> Pixels:
    corners = np.array([[colour(rng), colour(rng)], [colour(rng), colour(rng)]], np.float32)
    return cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _stripes(rng: np.random.Generator, width: int, height: int) -> Pixels:
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / rng.uniform(8, 90)))
    mix = (np.clip(wave * rng.choice([1, 20]), -1, 1)[:, :, None] + 1) / 2
    low, high = np.array(colour(rng), np.float32), np.array(colour(rng), np.float32)
    return (low + (high - low) * mix).astype(np.uint8)


def _scraps(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Overlapping polygons, discs and lines."""
    picture = _gradient(rng, width, height)
    for _ in range(rng.integers(5, 60)):
        middle = rng.uniform((0, 0), (width, height))
        size = rng.uniform(4, 90)
        if rng.random() < 0.5:
            points = middle + rng.normal(0, size, (rng.integers(3, 6), 2))
            cv2.fillPoly(picture, [points.astype(np.int32)], colour(rng), lineType=cv2.LINE_AA)
        else:
            place = int(middle[0]), int(middle[1])
            cv2.circle(picture, place, int(size), colour(rng), int(rng.choice([-1, 2, 5])), cv2.LINE_AA)
    return picture


TEXTURES = (_clouds, _clouds, _gradient, _stripes, _scraps, _scraps)


def _paste(rng: np.random.Generator, picture: Pixels, thing: Pixels) -> None:
    """Lays one cut-out object over the picture, in place, at a random size."""
    height, width = picture.shape[:2]
    scale = rng.uniform(0.15, 0.9) * height / max(thing.shape[:2])
    small = cv2.resize(
        thing, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    small = small[:height, :width]
    x, y = rng.integers(0, width - small.shape[1] + 1), rng.integers(0, height - small.shape[0] + 1)
    under = picture[y : y + small.shape[0], x : x + small.shape[1]]
    alpha = small[:, :, 3:].astype(np.float32) / 255
    under[:] = (under * (1 - alpha) + small[:, :, :3] * alpha).astype(np.uint8)


def _box(rng: np.random.Generator, picture: Pixels) -> Pixels:
    """A random part of the picture to draw in."""
    height, width = picture.shape[:2]
    w, h = int(rng.uniform(0.2, 1) * width), int(rng.uniform(0.2, 1) * height)
    x, y = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
    return picture[y : y + h, x : x + w]


def _keys(rng: np.random.Generator, picture: Pixels) -> None:
    """A keyboard, a calculator, a wall of bricks or windows: a grid of boxes of one look."""
    box = _box(rng, picture)
    step_x, step_y = rng.integers(9, 45), rng.integers(9, 45)
    gap = int(rng.integers(1, 6))
    fill, line = colour(rng), colour(rng)
    shift = int(rng.integers(0, step_x)) if rng.random() < 0.5 else 0
    thickness = -1 if rng.random() < 0.6 else 1
    if rng.random() < 0.5:
        box[:] = line
    for row, y in enumerate(range(0, box.shape[0], int(step_y))):
        for x in range(-(row * shift) % int(step_x) - int(step_x), box.shape[1], int(step_x)):
            corner = x + int(step_x) - gap, y + int(step_y) - gap
            cv2.rectangle(box, (x, y), corner, fill, thickness)


def _words(rng: np.random.Generator, picture: Pixels) -> None:
    """Lines of print."""
    box = _box(rng, picture)
    size = rng.uniform(0.3, 1.2)
    font, ink, thickness = int(rng.integers(0, 8)), colour(rng), int(rng.integers(1, 3))
    if rng.random() < 0.4:
        box[:] = colour(rng)
    for y in range(int(16 * size), box.shape[0], int(28 * size) + 2):
        line = "".join(chr(int(c)) for c in rng.integers(33, 122, 30))
        cv2.putText(box, line, (2, y), font, size, ink, thickness, cv2.LINE_AA)


def _panes(rng: np.random.Generator, picture: Pixels) -> None:
    """One to four framed or tinted boxes and discs that are no gaps: they are large, thin, or cut by the
    edge."""
    height, width = picture.shape[:2]
    for _ in range(rng.integers(1, 5)):
        w, h = (width * rng.uniform(0.35, 0.9), height * rng.uniform(0.05, 0.9))
        if rng.random() < 0.5:
            w, h = width * rng.uniform(0.01, 0.05), height * rng.uniform(0.05, 0.9)
        x, y = rng.uniform(-w / 2, width - w / 2), rng.uniform(-h / 2, height - h / 2)
        corner = (int(x), int(y)), (int(x + w), int(y + h))
        layer = picture.copy()
        cv2.rectangle(layer, *corner, colour(rng), -1)
        mix = rng.uniform(0.2, 1)
        picture[:] = cv2.addWeighted(layer, mix, picture, 1 - mix, 0)
        if rng.random() < 0.5:
            cv2.rectangle(picture, *corner, colour(rng), int(rng.integers(1, 4)))


HARD = (_keys, _words, _panes)
