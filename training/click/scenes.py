"""Scenes to learn from where objects are: anything free-standing, in many styles, over any ground.

python -m training.click.scenes BANK PHOTOS SHEET.png      a sheet to look at, with the answers
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from training.click import data
from training.slider import photos as slider_photos

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Rng = np.random.Generator

# Smaller than what is served, to draw and learn faster: objects have the sizes that they have there.
SIDE, STRIDE = 192, 4
# Grounds are slow to draw: each of a pool is used often, cut and recoloured; now and then one is replaced.
POOL, POOL_SIDE, REPLACED_EVERY = 400, 224, 8
# Half the longer side of an object, as a share of the scene's.
RADIUS = (0.035, 0.17)
# The share of scenes that lie under rings, squares or waves.
RINGED = 0.2
# One in so many sprites and photos is never trained on.
HELD_OUT_EVERY = 8


@dataclass(frozen=True, slots=True)
class Bank:
    """The pictures of sources.py: (n, 96, 96, 4), their names, and which are cut out."""

    rgba: NDArray[np.uint8]
    rows: list[dict[str, object]]
    cut: NDArray[np.intp]
    whole: NDArray[np.intp]

    @classmethod
    def load(cls, path: Path, held_out: bool) -> Bank:
        rows = json.loads(path.with_suffix(".json").read_text())
        part = np.array([(index % HELD_OUT_EVERY == 0) == held_out for index in range(len(rows))])
        cut = np.array([bool(row["cut"]) for row in rows])
        rgba = np.load(path.with_suffix(".npy"), mmap_mode="r")
        return cls(rgba, rows, np.flatnonzero(part & cut), np.flatnonzero(part & ~cut))


@dataclass(frozen=True, slots=True)
class Target:
    """(h, w) maps at a quarter of the size: centres as bumps of height 1, where objects are (0-1), the
    logarithm of their radius in units of 16 pixels, and where that is to be learned."""

    heat: Floats
    mask: Floats
    size: Floats
    known: Floats


def grounds(folder: Path, held_out: bool) -> slider_photos.Photos:
    """The photos that lie under `folder`, small: the part for measuring, or all the rest."""
    files = sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in slider_photos.SUFFIXES and "tuxpaint" not in p.parts
    )
    kept = [p for index, p in enumerate(files) if (index % HELD_OUT_EVERY == 0) == held_out]
    read = (cv2.imread(str(p), cv2.IMREAD_REDUCED_COLOR_4) for p in kept)
    found = [picture[..., ::-1] for picture in read if picture is not None and min(picture.shape[:2]) >= 160]
    if not found:
        raise FileNotFoundError(f"no photos under {folder}; unpack them with training/click/sources.sh")
    return slider_photos.Photos([np.ascontiguousarray(picture) for picture in found], [])


class Scenes:
    """Draws training scenes of `SIDE` pixels from a bank, photos, and what data.py draws."""

    def __init__(self, bank: Bank, photos: slider_photos.Photos, rng: Rng, pool: int = POOL) -> None:
        self.bank, self.photos, self.rng = bank, photos, rng
        self.pool = [self._ground() for _ in range(pool)]
        self.drawn = 0

    def draw(self) -> tuple[Image, Target]:
        """(SIDE, SIDE, 3) and what the network should answer."""
        rng = self.rng
        self.drawn += 1
        if self.drawn % REPLACED_EVERY == 0:
            self.pool[int(rng.integers(len(self.pool)))] = self._ground()
        picture = self._background()
        top, left, height, width = 0, 0, SIDE, SIDE
        page = rng.random() < 0.15
        if page:
            picture, (top, left, height, width) = _page(rng, picture)
        mask = np.zeros((SIDE, SIDE), np.float32)
        places = self._objects(picture, mask, (top, left, height, width))
        if rng.random() < RINGED:
            picture = ringed(rng, picture)
        picture = _spoiled(rng, picture)
        return picture, _target(places, mask)

    def _ground(self) -> Image:
        rng = self.rng
        kind = rng.random()
        if kind < 0.33:
            return slider_photos.background(rng, self.photos, POOL_SIDE, POOL_SIDE)
        if kind < 0.4:
            return data._plain(rng, POOL_SIDE, POOL_SIDE)
        if kind < 0.5:
            return _painted(rng, slider_photos.background(rng, self.photos, POOL_SIDE, POOL_SIDE))
        side = int(rng.integers(POOL_SIDE, 2 * POOL_SIDE))
        return cv2.resize(data._ground(rng, side, side), (POOL_SIDE, POOL_SIDE), interpolation=cv2.INTER_AREA)

    def _background(self) -> Image:
        rng = self.rng
        ground = self.pool[int(rng.integers(len(self.pool)))]
        side = int(rng.integers(110, POOL_SIDE + 1))
        x, y = rng.integers(0, POOL_SIDE - side + 1, 2)
        part = cv2.resize(ground[y : y + side, x : x + side], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        if rng.random() < 0.5:
            part = part[:, ::-1]
        if rng.random() < 0.5:
            part = part[..., rng.permutation(3)]
        return np.ascontiguousarray(part)

    def _objects(self, picture: Image, mask: Floats, frame: tuple[int, ...]) -> list[tuple[float, ...]]:
        rng = self.rng
        top, left, height, width = frame
        side = min(height, width)
        typical = side * float(np.exp(rng.uniform(*np.log(RADIUS))))
        spread = 0.0 if rng.random() < 0.4 else rng.uniform(0.05, 0.35)
        count = int(rng.integers(3, 15))
        radii = np.clip(typical * np.exp(rng.normal(0, spread, count)), 6, side / 4)
        apart = rng.uniform(0.75, 1.1)
        spots = data._spots(rng, height, width, np.asarray(radii * apart, np.float64))
        sprites = self._sprites(len(spots), picture)
        turn = 0 if rng.random() < 0.4 else float(rng.choice([15, 180]))
        strength = 1.0 if rng.random() < 0.7 else rng.uniform(0.55, 1)
        places = []
        for (x, y), radius, sprite in zip(spots, radii, sprites, strict=False):
            place = paste(
                picture, mask, sprite, (x + left, y + top), float(radius), rng.uniform(-turn, turn), strength
            )
            if place is not None:
                places.append(place)
        return places

    def _sprites(self, count: int, picture: Image) -> list[Image]:
        """As challenges have them: one thing over and over with an odd one among them, or all different."""
        rng = self.rng
        make = self._style(picture)
        if rng.random() < 0.5:
            sprites = [make() for _ in range(count)]
        else:
            common = [make() for _ in range(int(rng.integers(1, 4)))]
            sprites = [common[int(rng.integers(len(common)))] for _ in range(count)]
        if rng.random() < 0.35:
            tint = picture[rng.integers(SIDE), rng.integers(SIDE)].astype(np.float32)
            if rng.random() < 0.4:
                tint = np.array(data._colour(rng), np.float32)
            mix = rng.uniform(0.2, 0.7)
            sprites = [_tinted(sprite, tint, mix) for sprite in sprites]
        if rng.random() < 0.5:
            sprites = [_jittered(rng, sprite) for sprite in sprites]
        if rng.random() < 0.15:
            sprites = [_outlined(rng, sprite) for sprite in sprites]
        return sprites

    def _style(self, picture: Image) -> Callable[[], Image]:
        rng = self.rng
        styles: tuple[tuple[float, Callable[[], Image]], ...] = (
            (0.26, self._cut_out),
            (0.13, lambda: data.icon(rng, None)(rng).rgba),
            (0.20, _solids(rng)),
            (0.11, lambda: _disc(rng, self._photo())),
            (0.14, lambda: _vignette(rng, self._photo(), self._cut_out() if rng.random() < 0.7 else None)),
            (0.05, lambda: _card(rng, self._photo())),
            (0.05, lambda: data._shape_disc(bool(rng.integers(2)))(rng).rgba),
            (0.06, lambda: _mono(rng, self._cut_out())),
        )
        return styles[int(rng.choice(len(styles), p=np.array([share for share, _ in styles])))][1]

    def _cut_out(self) -> Image:
        sprite = self.bank.rgba[self.bank.cut[int(self.rng.integers(len(self.bank.cut)))]]
        sprite = sprite[:, ::-1] if self.rng.random() < 0.5 else sprite
        if self.rng.random() < 0.25:
            sprite = np.dstack([sprite[..., :3][..., self.rng.permutation(3)], sprite[..., 3]])
        return np.ascontiguousarray(sprite)

    def _photo(self) -> Image:
        """(96, 96, 3) a piece of a photo, or a whole small one."""
        rng = self.rng
        if rng.random() < 0.3 and len(self.bank.whole):
            whole = self.bank.rgba[self.bank.whole[int(rng.integers(len(self.bank.whole)))]]
            middle = whole[16:80, 16:80, :3]
            return cv2.resize(np.ascontiguousarray(middle), (96, 96))
        ground = self.pool[int(rng.integers(len(self.pool)))]
        side = int(rng.integers(50, 200))
        x, y = rng.integers(0, POOL_SIDE - side, 2)
        return cv2.resize(ground[y : y + side, x : x + side], (96, 96), interpolation=cv2.INTER_AREA)


# ---- objects ---------------------------------------------------------------------------------------------


def _round(power: float, soft: float, wide: float = 1.0, tall: float = 1.0) -> Floats:
    y, x = np.mgrid[:96, :96].astype(np.float32) / 47.5 - 1
    reach = (abs(x / wide) ** power + abs(y / tall) ** power) ** (1 / power)
    return np.clip((1 - reach) / soft, 0, 1).astype(np.float32)


def _disc(rng: Rng, photo: Image) -> Image:
    if rng.random() < 0.3:
        photo = np.clip(photo * rng.uniform(0.6, 1.3), 0, 255).astype(np.uint8)
    return np.dstack([photo, (255 * _round(2, 0.02)).astype(np.uint8)])


def _card(rng: Rng, photo: Image) -> Image:
    alpha = _round(rng.choice([6.0, 12.0]), rng.choice([0.03, 0.2]), 0.95, rng.uniform(0.6, 0.95))
    return np.dstack([photo, (255 * alpha).astype(np.uint8)])


def _vignette(rng: Rng, photo: Image, thing: Image | None) -> Image:
    """A thing with some of its own surroundings, melting into the scene: nothing has a clear outline."""
    wide, tall = rng.uniform(0.7, 1, 2)
    alpha = _round(rng.uniform(1.8, 3.5), rng.uniform(0.2, 0.7), float(wide), float(tall))
    if thing is None:
        return np.dstack([photo, (255 * alpha).astype(np.uint8)])
    weight = thing[..., 3:].astype(np.float32) / 255
    mixed = (photo * (1 - weight) + thing[..., :3] * weight).astype(np.uint8)
    shown = np.maximum(alpha * rng.uniform(0.3, 1), cv2.GaussianBlur(weight[..., 0], (0, 0), 2.5))
    return np.dstack([mixed, (255 * np.minimum(shown, 1)).astype(np.uint8)])


def _mono(rng: Rng, thing: Image) -> Image:
    """A drawing of one colour."""
    grey = cv2.cvtColor(thing[..., :3], cv2.COLOR_RGB2GRAY)[..., None] / 255.0
    low, high = np.array(data._colour(rng)), np.array(data._colour(rng))
    return np.dstack([(low + (high - low) * grey).astype(np.uint8), thing[..., 3]])


def _solids(rng: Rng) -> Callable[[], Image]:
    """Solids of one kind and colour, or shaded balls, each turned in its own way."""
    if rng.random() < 0.3:
        colour, shine = data._colour(rng), rng.uniform(0.1, 0.6)
        return lambda: _ball(rng, colour, shine)
    design = data.solid(rng, None)
    return lambda: design(rng).rgba


def _ball(rng: Rng, colour: tuple[int, int, int], shine: float) -> Image:
    y, x = np.mgrid[:96, :96].astype(np.float32) / 47.5 - 1
    reach = np.hypot(x, y)
    light = np.clip(0.5 - 0.4 * x - 0.5 * y, 0.2, 1.1)[..., None]
    spot = np.exp(-((x + 0.35) ** 2 + (y + 0.4) ** 2) / 0.05)[..., None] * shine * 255
    hue = np.clip(np.array(colour) + rng.normal(0, 12, 3), 0, 255)
    rgb = np.clip(hue * light + spot, 0, 255).astype(np.uint8)
    return np.dstack([rgb, (255 * np.clip((1 - reach) / 0.03, 0, 1)).astype(np.uint8)])


def _tinted(sprite: Image, tint: Floats, mix: float) -> Image:
    """Nearer to a colour: that of the ground, mostly, where it is hard to see."""
    rgb = sprite[..., :3].astype(np.float32)
    light = rgb.mean(2, keepdims=True) / 128
    return np.dstack([np.clip(rgb * (1 - mix) + tint * light * mix, 0, 255).astype(np.uint8), sprite[..., 3]])


def _jittered(rng: Rng, sprite: Image) -> Image:
    hsv = cv2.cvtColor(np.ascontiguousarray(sprite[..., :3]), cv2.COLOR_RGB2HSV).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + int(rng.normal(0, 9))) % 180
    hsv[..., 1:] = np.clip(hsv[..., 1:] * rng.uniform(0.7, 1.3, 2), 0, 255)
    return np.dstack([cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), sprite[..., 3]])


def _outlined(rng: Rng, sprite: Image) -> Image:
    """A sticker: a rim around it; or a shadow under it."""
    alpha = sprite[..., 3]
    grown = cv2.dilate(alpha, np.ones((5, 5), np.uint8))
    if rng.random() < 0.4:
        grown = (cv2.GaussianBlur(np.roll(alpha, (4, 3), (0, 1)), (0, 0), 3) * 0.6).astype(np.uint8)
    rim = np.array(data._colour(rng) if rng.random() < 0.5 else (255, 255, 255))
    rim = rim if grown.max() > 200 else np.zeros(3)
    inside = alpha[..., None] / 255.0
    rgb = sprite[..., :3] * inside + rim * (1 - inside)
    return np.dstack([rgb.astype(np.uint8), np.maximum(alpha, grown)])


def paste(
    picture: Image,
    mask: Floats,
    sprite: Image,
    spot: tuple[float, float],
    radius: float,
    angle: float,
    strength: float = 1.0,
) -> tuple[float, float, float] | None:
    """Lays a sprite in place, and returns the centre and half the longer side of what can be seen of it."""
    reach = int(np.ceil(radius * 1.42)) + 1
    x, y = int(spot[0]), int(spot[1])
    matrix = cv2.getRotationMatrix2D(
        (sprite.shape[1] / 2, sprite.shape[0] / 2), angle, 2 * radius / sprite.shape[0]
    )
    matrix[:, 2] += reach - sprite.shape[0] / 2
    coarse = sprite.shape[0] / (2 * radius)
    smooth = cv2.GaussianBlur(sprite, (0, 0), coarse / 3) if coarse > 1.5 else sprite
    laid = cv2.warpAffine(smooth, matrix, (2 * reach, 2 * reach), flags=cv2.INTER_LINEAR)
    top, left = max(0, y - reach), max(0, x - reach)
    bottom, right = min(picture.shape[0], y + reach), min(picture.shape[1], x + reach)
    laid = laid[top - y + reach : bottom - y + reach, left - x + reach : right - x + reach]
    alpha = laid[..., 3:].astype(np.float32) * (strength / 255)
    under = picture[top:bottom, left:right]
    under[:] = (under * (1 - alpha) + laid[..., :3] * alpha).astype(np.uint8)
    shown = laid[..., 3] > 110
    if not shown.any():
        return None
    mask[top:bottom, left:right] = np.maximum(mask[top:bottom, left:right], shown)
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    half = max(rows[-1] - rows[0], columns[-1] - columns[0]) / 2 + 0.5
    return left + (columns[0] + columns[-1]) / 2, top + (rows[0] + rows[-1]) / 2, float(half)


# ---- around and over -------------------------------------------------------------------------------------


def _painted(rng: Rng, picture: Image) -> Image:
    """Like a water colour: flat patches with soft edges and dark contours."""
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    flat = cv2.pyrMeanShiftFiltering(small, 8, int(rng.integers(15, 50)))
    flat = cv2.resize(flat, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)
    edges = cv2.Laplacian(cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY), cv2.CV_32F, ksize=5)
    dark = np.clip(cv2.GaussianBlur(edges, (0, 0), 1.2) / 200, 0, 1)[..., None] * rng.uniform(0, 0.8)
    vivid = flat + (flat - flat.mean(2, keepdims=True)) * rng.uniform(0, 0.9)
    return np.clip(vivid * (1 - dark), 0, 255).astype(np.uint8)


def _page(rng: Rng, picture: Image) -> tuple[Image, tuple[int, int, int, int]]:
    """The scene as a screenshot has it: on a page, with words over it; and where it is."""
    height, width = (int(v) for v in rng.integers(128, 178, 2))
    top, left = int(rng.integers(0, SIDE - height + 1)), int(rng.integers(0, SIDE - width + 1))
    page = np.full((SIDE, SIDE, 3), rng.choice([255, 245, 232, 40]), np.uint8)
    ink = (60, 60, 60) if page[0, 0, 0] > 128 else (230, 230, 230)
    words = "".join(chr(int(c)) for c in rng.integers(97, 122, 28))
    cv2.putText(
        page,
        words,
        (6, max(12, top - 8)),
        cv2.FONT_HERSHEY_SIMPLEX,
        rng.uniform(0.3, 0.5),
        ink,
        1,
        cv2.LINE_AA,
    )
    page[top : top + height, left : left + width] = cv2.resize(
        picture, (width, height), interpolation=cv2.INTER_AREA
    )
    return page, (top, left, height, width)


def ringed(rng: Rng, picture: Image) -> Image:
    """Under faint rings, squares in squares, or waves, side by side or alone: what is laid over pictures to
    mislead networks."""
    height, width = picture.shape[:2]
    cell = rng.uniform(16, 70) if rng.random() < 0.7 else 2.0 * max(height, width)
    down, across = np.mgrid[:height, :width].astype(np.float32)
    down, across = (np.mod(side + rng.uniform(0, cell), cell) - cell / 2 for side in (down, across))
    form = rng.random()
    if form < 0.4:
        reach = np.maximum(abs(down), abs(across))
    elif form < 0.8:
        reach = np.hypot(down, across)
    else:
        reach = across + rng.uniform(1, 6) * np.sin(down / rng.uniform(3, 12))
    waves = np.sin(reach * 2 * np.pi / rng.uniform(2.5, 8) + rng.uniform(0, 6))
    if rng.random() < 0.5:
        waves = np.sign(waves)
    strength = rng.uniform(6, 32) * (rng.uniform(0.4, 1, 3) if rng.random() < 0.5 else np.ones(3))
    return np.clip(picture + waves[..., None] * strength, 0, 255).astype(np.uint8)


def _spoiled(rng: Rng, picture: Image) -> Image:
    """What a renderer, a camera or an encoder does."""
    if rng.random() < 0.15:
        picture = data._clouded(rng, picture)
    if rng.random() < 0.15:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.4:
        noise = rng.normal(0, rng.uniform(1, 9), picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.08:
        picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    if rng.random() < 0.3:
        _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])
        picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(picture, np.uint8)


def _target(places: list[tuple[float, ...]], mask: Floats) -> Target:
    side = SIDE // STRIDE
    heat, size, known = (np.zeros((side, side), np.float32) for _ in range(3))
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    for x, y, radius in places:
        across, down = (x + 0.5) / STRIDE - 0.5, (y + 0.5) / STRIDE - 0.5
        wide = max(0.8, 0.22 * radius / STRIDE)
        bump = np.exp(-((columns - across) ** 2 + (rows - down) ** 2) / (2 * wide * wide))
        row, column = min(side - 1, max(0, round(down))), min(side - 1, max(0, round(across)))
        bump[row, column] = 1
        near = bump > 0.45
        size[near], known[near] = np.log(radius / 16), 1
        heat = np.maximum(heat, bump)
    return Target(heat, cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA), size, known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("sheet", type=Path)
    arguments = parser.parse_args()
    photos = grounds(arguments.photos, held_out=True)
    scenes = Scenes(Bank.load(arguments.bank, held_out=True), photos, np.random.default_rng(4), pool=40)
    tiles = []
    for _ in range(20):
        picture, target = scenes.draw()
        maps = [
            cv2.resize((255 * m).astype(np.uint8), (SIDE // 2, SIDE // 2)) for m in (target.heat, target.mask)
        ]
        tiles.append(np.hstack([picture, np.repeat(np.vstack(maps)[..., None], 3, 2)]))
    cv2.imwrite(
        str(arguments.sheet), np.vstack([np.hstack(tiles[i : i + 4]) for i in range(0, 20, 4)])[..., ::-1]
    )


if __name__ == "__main__":
    main()
