"""Pictures for the grid networks: labelled tiles with a split by near-duplicates, teachers' boxes, spoiled
tiles, scenes."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src")]

from legible.recognizers.grid.labels import LABELS  # noqa: E402

IDS = list(LABELS)
FOLDERS = [
    "taxi", "bus", "school_bus", "motorcycle", "tractor", "chimney", "crosswalk", "traffic_light", "bicycle",
    "parking_meter", "car", "bridge", "boat", "palm_tree", "mountain", "fire_hydrant", "stairs",
]  # fmt: skip
OTHER = len(FOLDERS)
assert len(IDS) == OTHER
CLASS = {name: index for index, name in enumerate(FOLDERS)} | {
    "other": OTHER,
    "stairs_bannister": FOLDERS.index("stairs"),
}
REAL = ("deathlyface", "deathlyface_mined", "x2month_manual", "saavn_stairs")
# Of clean object photos at 64 px, only what real tiles lack, and as many as do not outweigh them.
TINY_AT_MOST = {"boat": 700, "tractor": 400, "parking_meter": 400, "mountain": 400, "school_bus": 200,
                "stairs_bannister": 300,
                "bridge": 200, "other": 700, "car": 100, "bus": 100}  # fmt: skip
SIDE = 120  # most real tiles have this size
TILE = 100  # what a caller sends
TRAIN, VALIDATION, TEST = 0, 1, 2
SHARES = (0.75, 0.10, 0.15)
# Bits of 256 in which two near-duplicates differ at most.
ALIKE = 20
# COCO's number of each label that it has.
COCO = {
    "bicycle": 1,
    "car": 2,
    "motorcycle": 3,
    "bus": 5,
    "boat": 8,
    "traffic_light": 9,
    "fire_hydrant": 10,
    "parking_meter": 12,
}
TRUCK = 7
OUTLINED = 100  # number of our own first label, for what no detector knows

Pixels = NDArray[np.uint8]


@dataclass
class Tiles:
    """`pixels` (N, 120, 120, 3); `positive` (N, 17) 0 or 1; `main` (N,) the label, 17 for none; `split`;
    `real`."""

    pixels: Pixels
    positive: NDArray[np.uint8]
    main: NDArray[np.int64]
    split: NDArray[np.int64]
    real: NDArray[np.bool_]
    names: list[str]


def load(folder: Path, cache: Path) -> Tiles:
    """The tiles under `folder`, from `cache` if it was made before."""
    if not cache.exists():
        store(cache, vars(_read(folder)))
    stored = dict(np.load(cache))
    stored["names"] = stored["names"].tolist()
    return Tiles(**stored)  # type: ignore[arg-type]


def boxes(tiles: Tiles, teachers: Path, cache: Path) -> NDArray[np.float32]:
    """What the teachers see in real tiles: rows of tile, COCO class, score, and x0, y0, x1, y1 as parts of
    the tile."""
    if not cache.exists():
        # Clean object photos have one class each; only tiles of streets hold more.
        streets = np.flatnonzero([not name.startswith("tinyimagenet") for name in tiles.names])
        found = _boxes(tiles.pixels[streets], teachers)
        found[:, 0] = streets[found[:, 0].astype(int)]
        store(cache, {"boxes": found})
    return np.load(cache)["boxes"]


def store(path: Path, content: Mapping[str, object]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **{key: np.asarray(value) for key, value in content.items()})
    part.replace(path)


def _read(folder: Path) -> Tiles:
    pixels, main, real, names = [], [], [], []
    taken: dict[str, int] = {}
    for path in sorted(folder.rglob("*")):
        source, name = path.parts[-3], path.parts[-2]
        if path.is_dir() or name not in CLASS or path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
            continue
        if source == "tinyimagenet":
            taken[name] = taken.get(name, 0) + 1
            if taken[name] > TINY_AT_MOST.get(name, 0):
                continue
        bgr = cv2.imread(str(path))
        height, width = bgr.shape[:2]
        side = min(height, width)
        y, x = (height - side) // 2, (width - side) // 2
        square = bgr[y : y + side, x : x + side, ::-1]
        if side != SIDE:
            square = cv2.resize(
                square, (SIDE, SIDE), interpolation=cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
            )
        pixels.append(np.ascontiguousarray(square))
        main.append(CLASS[name])
        real.append(source in REAL)
        names.append(f"{source}/{name}/{path.name}")
    stacked, labels, is_real = np.stack(pixels), np.array(main), np.array(real)
    groups, same = _groups(stacked)
    positive = np.zeros((len(labels), OTHER), np.uint8)
    for index, label in enumerate(labels):
        if label != OTHER:
            positive[same == same[index], label] = 1
    return Tiles(stacked, positive, labels, _split(groups, is_real), is_real, names)


def _groups(pixels: Pixels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each tile the number of its group of near-duplicates, and of its group of equal pictures, by
    difference hash."""
    bits = []
    for tile in pixels:
        grey = cv2.resize(
            cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY), (17, 16), interpolation=cv2.INTER_AREA
        ).astype(np.int16)
        bits.append((grey[:, 1:] > grey[:, :-1]).ravel())
    signs = np.where(np.array(bits), 1, -1).astype(np.float32)
    near, same = np.arange(len(signs)), np.arange(len(signs))
    for start in range(0, len(signs), 1024):
        # Equal bits less unequal ones: 256 for a copy.
        agree = signs[start : start + 1024] @ signs.T
        for limit, group in ((256 - 2 * ALIKE, near), (256 - 2 * 6, same)):
            for row, column in zip(*np.nonzero(agree >= limit), strict=True):
                if start + row < column:
                    _join(group, start + row, column)
    return _roots(near), _roots(same)


def _join(group: NDArray[np.int64], a: int, b: int) -> None:
    while group[a] != a:
        a = group[a]
    while group[b] != b:
        b = group[b]
    group[max(a, b)] = min(a, b)


def _roots(group: NDArray[np.int64]) -> NDArray[np.int64]:
    while (group[group] != group).any():
        group = group[group]
    return group


def _split(groups: NDArray[np.int64], real: NDArray[np.bool_]) -> NDArray[np.int64]:
    """By the hash of the group; tiles that are not real are for training, or for nothing when a twin is
    tested (-1)."""
    draw = np.array([int(hashlib.sha256(f"grid {g}".encode()).hexdigest()[:8], 16) / 2**32 for g in groups])
    split = np.where(draw < SHARES[0], TRAIN, np.where(draw < SHARES[0] + SHARES[1], VALIDATION, TEST))
    tested = np.isin(groups, groups[real])
    return np.where(real, split, np.where(tested & (split != TRAIN), -1, TRAIN))


# The teachers: two COCO detectors, which see nine tiles at once.

AT_ONCE, SEEN = 3, 138  # tiles across a picture of 416, and how large


def _boxes(pixels: Pixels, teachers: Path) -> NDArray[np.float32]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    nano = ort.InferenceSession(str(teachers / "nanodet-plus-m_416.onnx"), options)
    yolox = ort.InferenceSession(str(teachers / "yolox_nano_bigisland.onnx"), options)
    found = []
    for start in range(0, len(pixels), AT_ONCE * AT_ONCE):
        tiles = pixels[start : start + AT_ONCE * AT_ONCE]
        canvas = np.full((416, 416, 3), 114, np.uint8)
        for i, tile in enumerate(tiles):
            y, x = i // AT_ONCE * SEEN, i % AT_ONCE * SEEN
            canvas[y : y + SEEN, x : x + SEEN] = cv2.resize(tile, (SEEN, SEEN))[:, :, ::-1]
        for boxes in (nanodet(nano, canvas), yolox_boxes(yolox, canvas)):
            for kind, score, x0, y0, x1, y1 in boxes:
                column, row = int((x0 + x1) / 2 / SEEN), int((y0 + y1) / 2 / SEEN)
                index = AT_ONCE * row + column
                if max(row, column) < AT_ONCE and index < len(tiles):
                    corner = np.array([column, row] * 2) * SEEN
                    edges = np.clip((np.array([x0, y0, x1, y1]) - corner) / SEEN, 0, 1)
                    found.append((start + index, kind, score, *edges))
    return np.array(found, np.float32)


def nanodet(session: ort.InferenceSession, bgr: Pixels) -> Iterator[tuple[float, ...]]:
    """(class, score, x0, y0, x1, y1) in pixels of a (416, 416, 3) picture."""
    mean, scale = np.array([103.53, 116.28, 123.675]), np.array([0.017429, 0.017507, 0.017125])
    x = ((bgr - mean) * scale).astype(np.float32).transpose(2, 0, 1)[None]
    out = session.run(None, {session.get_inputs()[0].name: x})[0][0]
    centres = np.concatenate([_centres(-(-416 // stride), stride) for stride in (8, 16, 32, 64)])
    weights = np.exp(out[:, 80:].reshape(-1, 4, 8))
    reach = (weights * np.arange(8)).sum(2) / weights.sum(2) * centres[:, 2:]
    boxes = np.concatenate([centres[:, :2] - reach[:, :2], centres[:, :2] + reach[:, 2:]], 1)
    return _suppressed(boxes, out[:, :80])


def yolox_boxes(session: ort.InferenceSession, bgr: Pixels) -> Iterator[tuple[float, ...]]:
    """The same, from a detector that answers with centre, size, objectness and 80 scores for each cell."""
    x = bgr.astype(np.float32).transpose(2, 0, 1)[None]
    out = session.run(None, {session.get_inputs()[0].name: x})[0][0]
    centres = np.concatenate([_centres(416 // stride, stride) for stride in (8, 16, 32)])
    middle, half = (out[:, :2] * centres[:, 2:] + centres[:, :2]), np.exp(out[:, 2:4]) * centres[:, 2:] / 2
    boxes = np.concatenate([middle - half, middle + half], 1)
    return _suppressed(boxes, out[:, 4:5] * out[:, 5:])


def _centres(count: int, stride: int) -> NDArray[np.float64]:
    y, x = np.mgrid[:count, :count]
    return np.stack([x.ravel() * stride, y.ravel() * stride, np.full(count * count, stride)], 1).astype(
        np.float64
    )


def _suppressed(boxes: NDArray[np.float64], scores: NDArray[np.float32]) -> Iterator[tuple[float, ...]]:
    for kind in (*COCO.values(), TRUCK):
        rows = np.flatnonzero(scores[:, kind] > 0.15)
        wh = np.concatenate([boxes[rows, :2], boxes[rows, 2:] - boxes[rows, :2]], 1)
        for kept in (
            cv2.dnn.NMSBoxes(wh.tolist(), scores[rows, kind].tolist(), 0.15, 0.5) if len(rows) else ()
        ):
            yield (kind, float(scores[rows[kept], kind]), *boxes[rows[kept]].tolist())


# Second labels. A tile has one label although it may hold more, so what teachers see is not counted against
# the network.


def targets(tiles: Tiles, seen: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 17) target probabilities and weights for a tile: 1 and 1 for its labels, soft or without weight in
    doubt."""
    target, weight = tiles.positive.astype(np.float32), np.ones(tiles.positive.shape, np.float32)
    names = {number: name for name, number in COCO.items()}
    for index, kind, score in seen[:, :3]:
        column = FOLDERS.index("car" if int(kind) == TRUCK else names[int(kind)])
        i = int(index)
        if tiles.positive[i, column] or score < 0.25:
            continue
        weight[i, column] = 0.0 if weight[i, column] < 0.5 or score < 0.6 or int(kind) == TRUCK else 0.7
        if weight[i, column]:
            target[i, column] = 0.85
    # A taxi is a car and a school bus is a bus, for people who click.
    for part, whole in (("taxi", "car"), ("school_bus", "bus")):
        both = (tiles.positive[:, FOLDERS.index(part)] == 1) & (tiles.positive[:, FOLDERS.index(whole)] == 0)
        weight[both, FOLDERS.index(whole)] = 0.0
    return target, weight


# Spoiling, as challenges and screenshots do it.


def view(tile: Pixels, rng: np.random.Generator, spoil: bool = True) -> Pixels:
    """The (120, 120, 3) tile at the 100x100 that a caller sends: moved and spoiled, or only made smaller."""
    if not spoil:
        return cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_AREA)
    zoom = TILE / SIDE * float(np.exp(rng.uniform(-0.1, 0.22)))
    shift = rng.uniform(-0.1, 0.1, 2) * TILE + TILE / 2
    flip = -1 if rng.random() < 0.5 else 1
    lean = rng.uniform(-0.08, 0.08)
    matrix = np.array([[flip * zoom, lean * zoom, 0], [0, zoom, 0]])
    matrix[:, 2] = shift - matrix[:, :2] @ [SIDE / 2, SIDE / 2]
    rgb = cv2.warpAffine(
        tile, matrix, (TILE, TILE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return spoiled(rgb, rng)


def spoiled(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    """Light and colour, blur, and now and then one of the styles that are meant to mislead; JPEG and white
    lines last."""
    x = rgb.astype(np.float32)
    if rng.random() < 0.6:
        x = (x - x.mean()) * rng.uniform(0.6, 1.4) + x.mean() * rng.uniform(0.7, 1.3)
        x = x * rng.uniform(0.88, 1.12, 3).astype(np.float32)
    if rng.random() < 0.08:
        x = np.repeat(x.mean(2, keepdims=True), 3, 2)
    if rng.random() < 0.25:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.6))
    style = rng.random()
    if style < 0.16:
        x = x + rng.normal(0, rng.uniform(8, 60), x.shape if rng.random() < 0.6 else (*x.shape[:2], 1))
    elif style < 0.20:
        y, z = np.mgrid[: x.shape[0], : x.shape[1]] * (np.pi / rng.uniform(1.6, 3.0))
        x = (
            np.where(
                x.mean(2, keepdims=True) > 128 + 110 * (np.sin(y + z) * np.cos(y - z))[..., None], 235, 25
            )
            * 0.7
            + x * 0.3
        )
    elif style < 0.26:
        step = rng.uniform(32, 80)
        x = np.floor(np.clip(x, 0, 255) / step) * step + step / 2
        if rng.random() < 0.5:
            x[cv2.Canny(rgb, 80, 180) > 0] *= 0.2
    elif style < 0.30:
        edges = np.abs(cv2.Laplacian(cv2.GaussianBlur(x, (0, 0), 0.8), cv2.CV_32F)) * 3
        x = (255 - edges) if rng.random() < 0.5 else edges
    elif style < 0.32:
        x = 255 - x
    out = np.clip(x, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        code = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 92))])[1]
        out = cv2.imdecode(code, cv2.IMREAD_COLOR)
    if rng.random() < 0.15:
        wide = int(rng.integers(1, 5))
        rows = slice(0, wide) if rng.random() < 0.5 else slice(-wide, None)
        columns = slice(0, wide) if rng.random() < 0.5 else slice(-wide, None)
        out[rows], out[:, columns] = 255, 255
    if rng.random() < 0.03:
        cv2.circle(out, (14, 14), 12, (66, 133, 244), -1, cv2.LINE_AA)
        cv2.polylines(out, [np.array([[8, 14], [12, 19], [20, 9]])], False, (255, 255, 255), 2, cv2.LINE_AA)
    return out


# Scenes for 4x4: one tile fills the scene, or part of it, or four fill it; boxes tell which cells count.

COVER = 0.06  # a cell counts from this much of it on
DOUBT = 0.02


@dataclass
class Scene:
    """`rgb` (256, 256, 3); `target` and `weight` (17, 4, 4)."""

    rgb: Pixels
    target: NDArray[np.float32]
    weight: NDArray[np.float32]


class Scenes:
    """Draws scenes from tiles whose label the teachers have found, class by class as challenges ask for
    them."""

    def __init__(self, tiles: Tiles, seen: NDArray[np.float32], split: int, rng: np.random.Generator) -> None:
        self.tiles, self.rng = tiles, rng
        self.by_tile: dict[int, list[tuple[int, float, NDArray[np.float32]]]] = {}
        names = {number: FOLDERS.index(name) for name, number in COCO.items()}
        names |= {OUTLINED + label: label for label in range(OTHER)}
        for row in seen:
            if int(row[1]) in names:
                self.by_tile.setdefault(int(row[0]), []).append((names[int(row[1])], float(row[2]), row[3:7]))
        usable = [
            i for i in self.by_tile
            if tiles.split[i] == split
            and any(tiles.positive[i, c] and s > 0.3 for c, s, _ in self.by_tile[i])
        ]  # fmt: skip
        self.of_class = {c: [i for i in usable if tiles.positive[i, c]] for c in range(OTHER)}
        self.of_class = {c: rows for c, rows in self.of_class.items() if len(rows) >= 8}
        self.plain = np.flatnonzero((tiles.main == OTHER) & (tiles.split == split) & tiles.real)

    def draw(self) -> Scene:
        form = self.rng.random()
        rgb, target, weight = (
            np.zeros((256, 256, 3), np.uint8),
            np.zeros((OTHER, 4, 4)),
            np.zeros((OTHER, 4, 4)),
        )
        label = int(self.rng.choice(list(self.of_class)))
        if form < 0.6:
            side = float(np.exp(self.rng.uniform(0, 0.35))) * 256
            places = [(self._any(label), side, *self.rng.uniform(256 - side, 0, 2))]
        elif form < 0.8:
            places = [(self._any(label) if self.rng.random() < 0.5 else self._none(), 128.0, x, y)
                      for y in (0.0, 128.0) for x in (0.0, 128.0)]  # fmt: skip
        else:
            side = float(self.rng.uniform(110, 190))
            places = [
                (self._none(), 256.0, 0.0, 0.0),
                (self._any(label), side, *self.rng.uniform(0, 256 - side, 2)),
            ]
        cover = np.zeros((OTHER, 4, 4))
        doubt = np.zeros((OTHER, 4, 4))
        for tile, side, x, y in places:
            self._paste(rgb, cover, doubt, tile, side, x, y)
        target = (cover >= COVER).astype(np.float32)
        weight = np.where((cover > DOUBT) & (cover < COVER * 1.5), 0.2, 1.0) * (
            1 - np.minimum(doubt, 1) * (target == 0)
        )
        # Only the class that is drawn on purpose is surely labelled everywhere.
        weight[np.arange(OTHER) != label] *= 0.25
        if self.rng.random() < 0.5:
            rgb, target, weight = rgb[:, ::-1], target[..., ::-1], weight[..., ::-1]
        return Scene(
            spoiled(np.ascontiguousarray(rgb), self.rng), target.astype(np.float32), weight.astype(np.float32)
        )

    def _none(self) -> int:
        return int(self.rng.choice(self.plain))

    def _any(self, label: int) -> int:
        return int(self.rng.choice(self.of_class[label]))

    def _paste(
        self,
        rgb: Pixels,
        cover: NDArray[np.float64],
        doubt: NDArray[np.float64],
        tile: int,
        side: float,
        x: float,
        y: float,
    ) -> None:
        matrix = np.array([[side / SIDE, 0, x], [0, side / SIDE, y]])
        pixels = self.tiles.pixels[tile]
        cv2.warpAffine(
            pixels, matrix, (256, 256), dst=rgb, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
        )
        for kind, score, edges in self.by_tile.get(tile, []):
            x0, y0, x1, y1 = edges * side + [x, y, x, y]
            # Inside its box a thing leaves the corners free.
            inset = 0.04 * np.array([x1 - x0, y1 - y0])
            columns = [_overlap(x0 + inset[0], x1 - inset[0], cell) for cell in range(4)]
            rows = [_overlap(y0 + inset[1], y1 - inset[1], cell) for cell in range(4)]
            part = np.outer(rows, columns)
            sure = score > (0.22 if self.tiles.positive[tile, kind] else 0.4)
            into = cover if sure else doubt
            into[kind] = np.minimum(1, np.maximum(into[kind], part if sure else (part > DOUBT)))


def _overlap(start: float, end: float, cell: int) -> float:
    return max(0.0, min(end, 64 * cell + 64) - max(start, 64 * cell)) / 64
