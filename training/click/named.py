"""Views of things with names: drawings and photos on any ground, in many styles, as tiles and in scenes.

python -m training.click.named BANK PHOTOS TILES SHEET.png      a sheet to look at
"""

from __future__ import annotations

import argparse
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from training.click import data, scenes
from training.click.scenes import Bank, Scenes, grounds
from training.click.vocabulary import CLASSES, NAMES, NONE, class_of

from legible.recognizers.click.names import CROP

Image = NDArray[np.uint8]
Rng = np.random.Generator

# One picture in so many of each class is held out, for measuring and for calibration.
HELD_OUT_EVERY = 4
TINY, PHOTO, MOST_PHOTOS = "tinyimagenet", "photo", 400
# What grows or lies in beds and heaps: so it is photographed as often as one by one.
HEAPED = (
    "flower", "rose", "sunflower", "apple", "banana", "lemon", "orange", "strawberry", "cherry", "pear",
    "grapes", "tomato", "carrot", "corn", "pumpkin", "mushroom", "egg", "donut",
)  # fmt: skip
FOLDERS = {folder: name for name, each in CLASSES.items() for folder in each.folders}


@dataclass(frozen=True, slots=True)
class Things:
    """Pictures (96, 96, 4) of each class of `NAMES`, with their source: those to learn, or those held out."""

    pictures: dict[str, list[tuple[str, Image]]]


def load(bank: Bank, tiles: Path | None, held_out: bool) -> Things:
    groups: dict[str, dict[int, list[tuple[str, Image]]]] = {name: {} for name in NAMES}
    for index, row in enumerate(bank.rows):
        name, source = str(row["name"]), str(row["source"])
        thing = class_of(name, source)
        # What is no cut-out has surroundings of its own, in which there may be anything.
        if thing is not None or (row["cut"] and index % 6 == 0):
            # Clip art is there twice, in two folders: all of one name stays on one side.
            key = zlib.crc32(f"{source} {name.rsplit(' / ', 1)[-1]}".encode())
            groups[thing or NONE].setdefault(key, []).append((source, bank.rgba[index]))
    photos = Counter[str]()
    for file in [] if tiles is None else sorted((tiles / TINY).glob("*/*.jpg")):
        thing = FOLDERS.get(file.name.split("_")[0], NONE if file.parent.name == "other" else "")
        if thing and photos[thing] < MOST_PHOTOS:
            photos[thing] += 1
            groups[thing][zlib.crc32(file.name.encode())] = [(PHOTO, file)]
    return Things({name: list(_part(found, held_out)) for name, found in groups.items()})


def _part(groups: dict[int, list[tuple[str, Any]]], held_out: bool) -> Iterator[tuple[str, Image]]:
    for rank, key in enumerate(sorted(groups)):
        if (rank % HELD_OUT_EVERY == 1) == held_out:
            for source, picture in groups[key]:
                yield source, _photo(picture) if isinstance(picture, Path) else np.asarray(picture)


def _photo(file: Path) -> Image:
    rgb = cv2.resize(cv2.imread(str(file))[..., ::-1], (96, 96), interpolation=cv2.INTER_CUBIC)
    return np.dstack([rgb, np.full((96, 96), 255, np.uint8)])


class Views:
    """Draws (CROP, CROP, 3) views of things; a share of them (0-1) under rings, to learn from."""

    def __init__(self, things: Things, grounds: Scenes, rng: Rng, rings: float = 0.0) -> None:
        self.things, self.grounds, self.rng, self.rings = things, grounds, rng, rings

    def of(self, name: str, source: str | None = None) -> Image | None:
        """A view of one of its pictures; None for a class without any."""
        pictures = [each for each in self.things.pictures[name] if source in (None, each[0])]
        if name == NONE and self.rng.random() < 0.4:
            return self._styled(self._ground())
        if not pictures:
            return None
        origin, rgba = pictures[int(self.rng.integers(len(pictures)))]
        if name in HEAPED and not is_photo(rgba) and self.rng.random() < 0.6:
            return self._styled(self._heap(origin, rgba))
        return self._styled(self._photo(rgba) if is_photo(rgba) else self._laid(origin, rgba))

    def _ground(self) -> Image:
        picture = self.grounds._background()
        side = int(self.rng.integers(60, picture.shape[0] + 1))
        x, y = self.rng.integers(0, picture.shape[0] - side + 1, 2)
        return cv2.resize(picture[y : y + side, x : x + side], (CROP, CROP), interpolation=cv2.INTER_LINEAR)

    def _photo(self, rgba: Image) -> Image:
        rng = self.rng
        side = int(96 * rng.uniform(0.75, 1))
        x, y = rng.integers(0, 96 - side + 1, 2)
        part = cv2.resize(
            np.ascontiguousarray(rgba[y : y + side, x : x + side, :3]),
            (CROP, CROP),
            interpolation=cv2.INTER_LINEAR,
        )
        if rng.random() < 0.3:
            ground = self._ground()
            alpha = scenes._round(rng.uniform(1.8, 3.5), rng.uniform(0.1, 0.6))
            weight = cv2.resize(alpha, (CROP, CROP))[..., None]
            part = (part * weight + ground * (1 - weight)).astype(np.uint8)
        return part[:, ::-1] if rng.random() < 0.5 else part

    def _laid(self, origin: str, rgba: Image) -> Image:
        rng = self.rng
        rgba = rgba[:, ::-1] if rng.random() < 0.5 else rgba
        if origin == "symbola":
            rgba = np.dstack(
                [np.broadcast_to(np.array(data._colour(rng), np.uint8), (96, 96, 3)), rgba[..., 3]]
            )
        picture = self._ground()
        if rng.random() < 0.3:
            picture[:] = data._colour(rng) if rng.random() < 0.5 else rng.integers(200, 256)
        if rng.random() < 0.3:
            # Some of its own surroundings, that melt into the scene.
            around = self._ground()
            weight = cv2.resize(scenes._round(rng.uniform(1.8, 3.5), rng.uniform(0.1, 0.6)), (CROP, CROP))[
                ..., None
            ]
            picture = (around * weight + picture * (1 - weight)).astype(np.uint8)
        rgba = np.ascontiguousarray(rgba)
        if rng.random() < 0.15:
            rgba = scenes._outlined(rng, rgba)
        radius = (
            CROP / 2 * rng.uniform(0.6, 1.02) if rng.random() < 0.75 else CROP / 2 * rng.uniform(0.4, 0.7)
        )
        slack = max(2.0, CROP / 2 - radius * 0.8)
        spot = tuple(CROP / 2 + rng.uniform(-slack, slack, 2))
        angle = float(rng.normal(0, 8)) if rng.random() < 0.8 else rng.uniform(-45, 45)
        scenes.paste(picture, np.zeros((CROP, CROP), np.float32), rgba, spot, radius, angle)
        return picture

    def _heap(self, origin: str, rgba: Image) -> Image:
        """Two to forty of one thing, of one hue or another, among leaves or on any ground."""
        rng = self.rng
        picture = self._leaves() if rng.random() < 0.6 else np.ascontiguousarray(self._ground())
        if rng.random() < 0.5:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 4))
        if origin == "symbola" or rng.random() < 0.3:
            hue = np.array(data._colour(rng), np.float32)
            shade = cv2.cvtColor(np.ascontiguousarray(rgba[..., :3]), cv2.COLOR_RGB2GRAY)[..., None] / 128
            rgba = np.dstack([np.clip(hue * shade, 0, 255).astype(np.uint8), rgba[..., 3]])
        count = int(np.exp(rng.uniform(np.log(2), np.log(40))))
        typical = CROP * rng.uniform(0.5, 0.9) / np.sqrt(count)
        top = CROP * rng.uniform(0, 0.4) if rng.random() < 0.4 else 0.0
        for y in np.sort(rng.uniform(top, CROP, count)):
            # What is farther away is higher and smaller.
            radius = max(3.0, typical * rng.uniform(0.7, 1.2) * (0.4 + 0.6 * (y - top) / (CROP - top)))
            spot = float(rng.uniform(0, CROP)), float(y)
            thing = np.ascontiguousarray(rgba[:, ::-1] if rng.random() < 0.5 else rgba)
            empty = np.zeros((CROP, CROP), np.float32)
            scenes.paste(picture, empty, thing, spot, radius, float(rng.normal(0, 20)))
        return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 2)) if rng.random() < 0.5 else picture

    def _leaves(self) -> Image:
        """Green leaves, on some of their ground, under some of the sky."""
        rng = self.rng
        picture = np.ascontiguousarray(self._ground())
        if rng.random() < 0.7:
            picture[:] = (rng.integers(0, 60), rng.integers(20, 110), rng.integers(0, 50))
        size, top = rng.uniform(2, 14), (rng.uniform(0, 0.5) if rng.random() < 0.3 else 0.0)
        for _ in range(int(rng.uniform(30, 260))):
            green = rng.uniform(60, 230)
            colour = (green * rng.uniform(0.3, 0.9), green, green * rng.uniform(0.1, 0.6))
            spot = int(rng.integers(0, CROP)), int(rng.integers(int(top * CROP), CROP))
            axes = max(1, int(size * rng.uniform(0.6, 1.6))), max(1, int(size * rng.uniform(0.2, 0.7)))
            angle = float(rng.uniform(0, 360))
            cv2.ellipse(picture, spot, axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
        return picture

    def _styled(self, picture: Image) -> Image:
        rng = self.rng
        picture = np.ascontiguousarray(picture)
        if rng.random() < 0.35:
            picture = scenes._jittered(rng, np.dstack([picture, picture[..., 0]]))[..., :3]
        if rng.random() < 0.08:
            picture = np.ascontiguousarray(picture[..., rng.permutation(3)])
        if rng.random() < 0.15:
            grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
            picture = np.repeat(grey[..., None], 3, 2)
        if rng.random() < 0.08:
            picture = scenes._painted(rng, picture)
        if rng.random() < 0.5:
            side = int(rng.integers(36, 90))
            small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
            picture = cv2.resize(small, (CROP, CROP), interpolation=cv2.INTER_LINEAR)
        if rng.random() < self.rings:
            picture = scenes.ringed(rng, picture)
        if rng.random() < 0.3:
            gain, lift = rng.uniform(0.7, 1.3), rng.uniform(-30, 30)
            picture = np.clip(picture * gain + lift, 0, 255).astype(np.uint8)
        return scenes._spoiled(rng, picture)

    def scene(self, names: list[str]) -> tuple[Image, list[tuple[str, float, float, float]]]:
        """(h, w, 3) with a thing of each name somewhere in it, in one of many styles; and their names,
        centres and radii. Things without room are left out."""
        rng = self.rng
        height, width = (int(side) for side in rng.choice((256, 300, 360, 420, 512), 2))
        width = height if rng.random() < 0.5 else width
        ground, painted = self.grounds._background(), rng.random()
        if painted < 0.3:
            ground = scenes._painted(rng, ground)
        picture = np.ascontiguousarray(cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC))
        typical = min(height, width) * np.exp(rng.uniform(np.log(0.06), np.log(0.16)))
        radii = typical * np.exp(rng.normal(0, rng.choice((0.05, 0.25)), len(names)))
        spots = data._spots(rng, height, width, np.asarray(radii, np.float64))
        mask, places = np.zeros((height, width), np.float32), []
        style = self._style(picture)
        for name, spot, radius in zip(names, spots, radii, strict=False):
            pictures = self.things.pictures[name]
            sprite = style.of(*pictures[int(rng.integers(len(pictures)))])
            angle = float(rng.uniform(-style.turn, style.turn))
            place = scenes.paste(picture, mask, sprite, spot, float(radius), angle, style.strength)
            if place is not None:
                places.append((name, *place))
        if 0.3 <= painted < 0.45:
            picture = scenes._painted(rng, picture)
        return scenes._spoiled(rng, picture), places

    def _style(self, picture: Image) -> Style:
        rng = self.rng
        tint = picture[rng.integers(picture.shape[0]), rng.integers(picture.shape[1])].astype(np.float32)
        return Style(
            self,
            soft=float(rng.choice((0, 0.5, 1))),
            grey=float(rng.choice((0, 0, 0.3, 1))),
            turn=float(rng.choice((0, 0, 15, 180))),
            strength=1.0 if rng.random() < 0.6 else rng.uniform(0.5, 1),
            tint=None if rng.random() < 0.6 else (tint, rng.uniform(0.15, 0.6)),
            jittered=rng.random() < 0.4,
            outlined=rng.random() < 0.15,
        )


@dataclass(frozen=True, slots=True)
class Style:
    """How the things of a scene look: shares of them (0-1) with soft edges and without colour, at most how
    many degrees they are turned, how opaque they are, and nearer to which colour by how much."""

    views: Views
    soft: float
    grey: float
    turn: float
    strength: float
    tint: tuple[NDArray[np.float32], float] | None
    jittered: bool
    outlined: bool

    def of(self, origin: str, rgba: Image) -> Image:
        rng = self.views.rng
        rgba = np.ascontiguousarray(rgba[:, ::-1] if rng.random() < 0.5 else rgba)
        if is_photo(rgba):
            rgba = scenes._vignette(rng, np.ascontiguousarray(rgba[..., :3]), None)
        elif rng.random() < self.soft:
            rgba = scenes._vignette(rng, cv2.resize(self.views._ground(), (96, 96)), rgba)
        elif origin == "symbola":
            ink = np.broadcast_to(np.array(data._colour(rng), np.uint8), (96, 96, 3))
            rgba = np.dstack([ink, rgba[..., 3]])
        if rng.random() < self.grey:
            grey = cv2.cvtColor(np.ascontiguousarray(rgba[..., :3]), cv2.COLOR_RGB2GRAY)
            rgba = np.dstack([grey, grey, grey, rgba[..., 3]])
        if self.tint is not None:
            rgba = scenes._tinted(rgba, *self.tint)
        if self.jittered:
            rgba = scenes._jittered(rng, rgba)
        rgba = np.ascontiguousarray(rgba)
        return np.ascontiguousarray(scenes._outlined(rng, rgba)) if self.outlined else rgba


def is_photo(rgba: Image) -> bool:
    """Not cut out: it has surroundings of its own."""
    return bool((rgba[..., 3] > 128).mean() > 0.97)


def photos_of(things: Things) -> Things:
    """Those of the pictures that are photos."""
    kept = {
        name: [(source, rgba) for source, rgba in found if is_photo(rgba)]
        for name, found in things.pictures.items()
    }
    return Things(kept)


def several(views: Views, counts: dict[str, int], source: str | None = None) -> Iterator[tuple[int, Image]]:
    """So many views of each class, in turn, of any source or of one; classes without a picture are left
    out."""
    for name, count in counts.items():
        for _ in range(count):
            picture = views.of(name, source)
            if picture is not None:
                yield NAMES.index(name), picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bank", "photos", "tiles", "sheet"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    bank = Bank.load(arguments.bank, held_out=False)
    ground = Scenes(bank, grounds(arguments.photos, held_out=True), np.random.default_rng(4), pool=60)
    views = Views(load(bank, arguments.tiles, held_out=False), ground, np.random.default_rng(5))
    shown = []
    for _, picture in several(views, dict.fromkeys(NAMES, 2)):
        shown.append(picture)
    shown += [np.zeros_like(shown[0])] * (-len(shown) % 18)
    rows = [np.hstack(shown[i : i + 18]) for i in range(0, len(shown), 18)]
    cv2.imwrite(str(arguments.sheet), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
