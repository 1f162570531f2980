"""Scenes for the 4x4 network, composed of tiles, and which cells a label touches: by the boxes of two
detectors, and for what they do not know by where the tile network sees it."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src")]

from data import COCO, FOLDERS, OTHER, SIDE, TRUCK, Pixels, Tiles, boxed, find_boxes, spoiled, store  # noqa: E402

from legible.recognizers.grid.preprocess import SCENE_PX  # noqa: E402

CELLS = 4
COVER = 0.05  # a cell counts from this much of it on
DOUBT = 0.02
OF_LABEL = 500  # tiles of a label that scenes are made of, at most
AT_ONCE = 2  # tiles across one picture of a detector: about as large as things are in its training
# The label that a detector's class stands for in a tile of another label.
WITHIN = {"taxi": 2, "school_bus": 5, "tractor": TRUCK}
VOTES = (0.65, 0.35)  # of the two detectors
SURE = 0.3  # a box counts from this score on; the best one of the label that the tile is said to show always
LEAST = 0.04
# How often scenes ask for a label: most for what challenges ask for and for what no detector has learned yet,
# least for what tiles show badly.
OFTEN = {
    "traffic_light": 3.0, "bicycle": 2.0, "motorcycle": 2.0, "bus": 2.0, "car": 2.0, "crosswalk": 4.0,
    "fire_hydrant": 1.5, "stairs": 3.0, "taxi": 0.3, "chimney": 1.0, "mountain": 0.5, "boat": 0.5,
    "tractor": 0.5, "parking_meter": 0.5,
}  # fmt: skip
FINE = 8  # places across a tile where the tile network looks
PLACE = 0.55  # of the way from the least to the strongest place: from here on it is the thing itself


@dataclass
class Seen:
    """What is where in tiles: the `boxes` of two detectors (rows of tile, class, score, x0, y0, x1, y1 in
    parts of a tile), and in tiles of other labels how much each of 8x8 `places` speaks for the label, 0-1."""

    boxes: tuple[NDArray[np.float32], NDArray[np.float32]]
    places: dict[int, NDArray[np.float32]]


@dataclass
class Scene:
    """`rgb` (320, 320, 3); `target` and `weight` (17, 4, 4); `asked` is the label that it was made for."""

    rgb: Pixels
    target: NDArray[np.float32]
    weight: NDArray[np.float32]
    asked: int


@dataclass
class Marked:
    """A tile as a scene, and where its label was seen by eye: cells that must be in the answer, or may."""

    rgb: Pixels
    label: int
    split: int
    must: NDArray[np.bool_]
    may: NDArray[np.bool_]


def marked(tiles: Tiles) -> list[Marked]:
    """Test and calibration tiles that fill a scene, marked by hand before any network saw them so."""
    index = {name: i for i, name in enumerate(tiles.names)}
    found = []
    with (HERE / "marked.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            tile, side = index[row["file"]], SCENE_PX * float(row["zoom"])
            matrix = np.array(
                [[side / SIDE, 0, -float(row["x"]) * side], [0, side / SIDE, -float(row["y"]) * side]]
            )
            rgb = cv2.warpAffine(tiles.pixels[tile], matrix, (SCENE_PX, SCENE_PX), flags=cv2.INTER_CUBIC)
            must, may = (
                np.isin(np.arange(16), [int(c) for c in row[name].split()]) for name in ("cells", "may")
            )
            found.append(Marked(rgb, FOLDERS.index(row["label"]), int(tiles.split[tile]), must, may))
    return found


def detector_class(label: int) -> int | None:
    """COCO's number for a label, or for what a tile of that label is sure to show."""
    name = FOLDERS[label]
    return COCO.get(name, WITHIN.get(name))


def chosen_tiles(tiles: Tiles, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most OF_LABEL tiles of each label and those with boxes by hand; all that test and calibrate."""
    rows = []
    for label in range(OTHER + 1):
        own = np.flatnonzero((tiles.main == label) & (tiles.split == 0))
        rows.append(rng.permutation(own)[:OF_LABEL])
    return np.unique(np.concatenate([*rows, list(boxed(tiles)), np.flatnonzero(tiles.split > 0)]))


def detect(
    tiles: Tiles, rows: NDArray[np.int64], teachers: Path, cache: Path
) -> tuple[NDArray[np.float32], ...]:
    """The boxes of both detectors in these tiles, from `cache` where they were found before."""
    stored = {name: np.zeros((0, 7), np.float32) for name in ("nanodet", "yolox")} | {"rows": rows[:0]}
    if cache.exists():
        stored = dict(np.load(cache))
    new = np.setdiff1d(rows, stored["rows"])
    if len(new):
        found = find_boxes(tiles.pixels[new], teachers, AT_ONCE, LEAST)
        for name, boxes in zip(("nanodet", "yolox"), found, strict=True):
            boxes[:, 0] = new[boxes[:, 0].astype(int)]
            stored[name] = np.concatenate([stored[name], boxes])
        stored["rows"] = np.concatenate([stored["rows"], new])
        store(cache, stored)
    return _worth_keeping(stored["nanodet"]), _worth_keeping(stored["yolox"])


def _worth_keeping(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The best box of each class in each tile, and all sure ones."""
    boxes = boxes[np.lexsort((-boxes[:, 2], boxes[:, 1], boxes[:, 0]))]
    best = np.ones(len(boxes), bool)
    best[1:] = (boxes[1:, :2] != boxes[:-1, :2]).any(1)
    return boxes[best | (boxes[:, 2] >= SURE)]


class Scenes:
    """Draws scenes, label by label as challenges ask for them."""

    def __init__(self, tiles: Tiles, rows: NDArray[np.int64], seen: Seen, rng: np.random.Generator) -> None:
        self.tiles, self.seen, self.rng = tiles, seen, rng
        self.by_tile: list[dict[int, list[NDArray[np.float32]]]] = []
        for boxes in seen.boxes:
            each: dict[int, list[NDArray[np.float32]]] = {}
            for row in boxes:
                each.setdefault(int(row[0]), []).append(row[1:])
            self.by_tile.append(each)
        self.by_hand = boxed(tiles)
        usable = [int(i) for i in rows if tiles.main[i] != OTHER and self._is_found(int(i))]
        self.of_label = {c: [i for i in usable if tiles.main[i] == c] for c in range(OTHER)}
        self.of_label = {c: found for c, found in self.of_label.items() if len(found) >= 8}
        for found in self.of_label.values():
            # Three times as many scenes of them as of all others, for they are right.
            sure = [i for i in found if i in self.by_hand]
            found += sure * (3 * len(found) // len(sure) if sure else 0)
        often = np.array([OFTEN.get(FOLDERS[c], 1.0) for c in self.of_label])
        self.often, self.rest = often / often.sum(), rows

    def _is_found(self, tile: int) -> bool:
        label = int(self.tiles.main[tile])
        number = detector_class(label)
        if number is None:
            return tile in self.seen.places or tile in self.by_hand
        return any(box[0] == number for each in self.by_tile for box in each.get(tile, []))

    def draw(self) -> Scene:
        label = int(self.rng.choice(list(self.of_label), p=self.often))
        rgb = np.zeros((SCENE_PX, SCENE_PX, 3), np.uint8)
        cover, weight = np.zeros((OTHER, CELLS, CELLS)), np.ones((OTHER, CELLS, CELLS))
        for tile, side, x, y, rectangle in self._places(label):
            self._paste(rgb, cover, weight, label, tile, side, x, y, rectangle)
        weight[np.arange(OTHER) != label] *= 0.25
        if self.rng.random() < 0.5:
            rgb, cover, weight = rgb[:, ::-1], cover[..., ::-1], weight[..., ::-1]
        return Scene(
            self._spoiled(np.ascontiguousarray(rgb)),
            cover.astype(np.float32),
            weight.astype(np.float32),
            label,
        )

    def _places(self, label: int) -> Iterator[tuple[int, float, float, float, tuple[int, int, int, int]]]:
        """(tile, side, x, y, rectangle to fill) of every tile of the scene."""
        form, whole = self.rng.random(), (0, 0, SCENE_PX, SCENE_PX)
        if form < 0.55:
            side = float(np.exp(self.rng.uniform(0, 0.35))) * SCENE_PX
            yield (self._of(label), side, *self.rng.uniform(SCENE_PX - side, 0, 2), whole)
        elif form < 0.8:
            middle = (SCENE_PX * self.rng.uniform(0.3, 0.7, 2)).astype(int)
            many = self.rng.random() < 0.3
            first = int(self.rng.integers(4))
            for n in range(4):
                x0, x1 = (0, middle[0]) if n % 2 == 0 else (middle[0], SCENE_PX)
                y0, y1 = (0, middle[1]) if n < 2 else (middle[1], SCENE_PX)
                side = max(x1 - x0, y1 - y0) * self.rng.uniform(1.0, 1.2)
                x, y = x0 - self.rng.random() * (side - x1 + x0), y0 - self.rng.random() * (side - y1 + y0)
                yield (
                    self._of(label) if many or n == first else self._other(label),
                    side,
                    x,
                    y,
                    (x0, y0, x1, y1),
                )
        else:
            side = SCENE_PX * self.rng.uniform(0.45, 0.85)
            yield self._other(label), SCENE_PX, 0.0, 0.0, whole
            x, y = self.rng.uniform(-0.15 * side, SCENE_PX - 0.85 * side, 2)
            corners = np.clip([x, y, x + side, y + side], 0, SCENE_PX).astype(int)
            yield (self._of(label), side, x, y, tuple(corners))  # type: ignore[misc]

    def _spoiled(self, rgb: Pixels) -> Pixels:
        """Half of them: large scenes are spoiled less often than tiles."""
        return spoiled(rgb, self.rng) if self.rng.random() < 0.5 else rgb

    def _of(self, label: int) -> int:
        return int(self.rng.choice(self.of_label[label]))

    def _other(self, label: int) -> int:
        """A tile without this label, as far as anybody knows."""
        number = detector_class(label)
        while True:
            tile = int(self.rng.choice(self.rest))
            boxes = self.by_tile[0].get(tile, [])
            if not self.tiles.positive[tile, label] and not any(
                b[0] == number and b[1] > 0.15 for b in boxes
            ):
                return tile

    def _paste(
        self,
        rgb: Pixels,
        cover: NDArray[np.float64],
        weight: NDArray[np.float64],
        asked: int,
        tile: int,
        side: float,
        x: float,
        y: float,
        rectangle: tuple[int, int, int, int],
    ) -> None:
        x0, y0, x1, y1 = rectangle
        matrix = np.array([[side / SIDE, 0, x - x0], [0, side / SIDE, y - y0]])
        rgb[y0:y1, x0:x1] = cv2.warpAffine(
            self.tiles.pixels[tile],
            matrix,
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        inside = np.outer(_parts(y0, y1), _parts(x0, x1))
        # What is pasted hides what was there.
        cover *= 1 - (inside > 0.8)
        for label in range(OTHER):
            found = self._touched(tile, label, side, x, y, rectangle)
            if found is None:
                # Nobody knows, unless the tile was picked for not having it.
                known = label == asked or self.tiles.main[tile] == OTHER
                weight[label][inside > 0] *= 1.0 if known else 0.2
                continue
            touched, sure = found
            cover[label] = np.maximum(cover[label], touched)
            weight[label] *= np.where(inside > 0, sure, 1.0)

    def _touched(
        self, tile: int, label: int, side: float, x: float, y: float, rectangle: tuple[int, int, int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """(4, 4) how surely the label touches each cell, and how much that counts; None if nobody knows."""
        own = bool(self.tiles.main[tile] == label)
        number = detector_class(label) if own else COCO.get(FOLDERS[label])
        if own and tile in self.by_hand:
            part = self._covered(self.by_hand[tile], side, x, y, rectangle)
            return (part >= COVER).astype(float), np.where((part > DOUBT) & (part < COVER * 2), 0.4, 1.0)
        if number is None:
            known = own and tile in self.seen.places
            return self._seen_there(tile, side, x, y, rectangle) if known else None
        votes, total, edge = np.zeros((CELLS, CELLS)), 0.0, np.zeros((CELLS, CELLS), bool)
        for each, share in zip(self.by_tile, VOTES, strict=True):
            boxes = [box for box in each.get(tile, []) if box[0] == number]
            least = min(SURE, max(box[1] for box in boxes)) if own and boxes else (SURE if own else 0.4)
            part = self._covered([box for box in boxes if box[1] >= least], side, x, y, rectangle)
            if own and not boxes:
                continue
            votes, total = votes + share * (part >= COVER), total + share
            edge |= (part > DOUBT) & (part < COVER * 2)
        if not total:
            return None
        return votes / total, np.where(edge, 0.4, 1.0)

    def _covered(
        self,
        boxes: list[NDArray[np.float32]],
        side: float,
        x: float,
        y: float,
        rectangle: tuple[int, int, int, int],
    ) -> NDArray[np.float64]:
        """(4, 4) the share of each cell that the boxes of a tile cover."""
        part = np.zeros((CELLS, CELLS))
        for box in boxes:
            ends = box[2:6] * side + [x, y, x, y]
            ends = np.clip(ends, [rectangle[0], rectangle[1]] * 2, [rectangle[2], rectangle[3]] * 2)
            part = np.maximum(part, np.outer(_parts(ends[1], ends[3]), _parts(ends[0], ends[2])))
        return part

    def _seen_there(
        self, tile: int, side: float, x: float, y: float, rectangle: tuple[int, int, int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """From where the tile network sees the tile's label."""
        places = self.seen.places[tile]
        matrix = np.array([[side / FINE, 0, x], [0, side / FINE, y]]) * (24 / SCENE_PX)
        matrix[:, 2] += 0.5 * (side / FINE) * (24 / SCENE_PX) - 0.5
        wide = cv2.warpAffine(
            places, matrix, (24, 24), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        x0, y0, x1, y1 = (round(v * 24 / SCENE_PX) for v in rectangle)
        inside = np.zeros((24, 24), bool)
        inside[y0:y1, x0:x1] = True
        there = ((wide > PLACE) & inside).reshape(CELLS, 6, CELLS, 6).mean((1, 3))
        return (there >= 0.15).astype(float), np.where((there > 0.03) & (there < 0.35), 0.3, 0.8)


def _parts(start: float, end: float) -> NDArray[np.float64]:
    """(4,) the share of each cell between two edges."""
    cell = SCENE_PX / CELLS
    edges = np.arange(CELLS) * cell
    return np.clip(np.minimum(end, edges + cell) - np.maximum(start, edges), 0, None) / cell
