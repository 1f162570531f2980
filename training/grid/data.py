"""Pictures for the grid networks: labelled tiles, split by near-duplicates; teachers' boxes; spoiling."""

from __future__ import annotations

import csv
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
PARTS = [(CLASS[part], CLASS[whole]) for part, whole in (("taxi", "car"), ("school_bus", "bus"))]
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
    tiles = Tiles(**stored)  # type: ignore[arg-type]
    for i, (labels, _) in corrected(tiles).items():
        tiles.positive[i] = np.isin(np.arange(OTHER), labels)
        tiles.main[i] = labels[0] if labels else OTHER
    return tiles


def boxes(tiles: Tiles, teachers: Path, cache: Path) -> NDArray[np.float32]:
    """What the teachers see in real tiles: rows of tile, COCO class, score, and x0, y0, x1, y1 as parts of
    the tile."""
    if not cache.exists():
        # Clean object photos have one class each; only tiles of streets hold more.
        streets = np.flatnonzero([not name.startswith("tinyimagenet") for name in tiles.names])
        found = np.concatenate(find_boxes(tiles.pixels[streets], teachers, AT_ONCE, LEAST))
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


# The teachers: two COCO detectors, which see several tiles at once.

AT_ONCE = 3  # tiles across a picture of 416
LEAST = 0.15


def find_boxes(pixels: Pixels, teachers: Path, across: int, least: float) -> tuple[NDArray[np.float32], ...]:
    """Of both teachers, rows of tile, COCO class, score, and x0, y0, x1, y1 as parts of the tile."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [
        ort.InferenceSession(str(teachers / name), options)
        for name in ("nanodet-plus-m_416.onnx", "yolox_nano_bigisland.onnx")
    ]
    found: tuple[list[tuple[float, ...]], ...] = ([], [])
    side = 416 // across
    for start in range(0, len(pixels), across * across):
        tiles = pixels[start : start + across * across]
        canvas = np.full((416, 416, 3), 114, np.uint8)
        for i, tile in enumerate(tiles):
            y, x = i // across * side, i % across * side
            canvas[y : y + side, x : x + side] = cv2.resize(tile, (side, side))[:, :, ::-1]
        for rows, session, read in zip(found, sessions, (nanodet, yolox_boxes), strict=True):
            for kind, score, x0, y0, x1, y1 in read(session, canvas, least):
                column, row = int((x0 + x1) / 2 / side), int((y0 + y1) / 2 / side)
                index = across * row + column
                if max(row, column) < across and index < len(tiles):
                    corner = np.array([column, row] * 2) * side
                    edges = np.clip((np.array([x0, y0, x1, y1]) - corner) / side, 0, 1)
                    rows.append((start + index, kind, score, *edges))
    return tuple(np.array(rows, np.float32).reshape(-1, 7) for rows in found)


def nanodet(session: ort.InferenceSession, bgr: Pixels, least: float) -> Iterator[tuple[float, ...]]:
    """(class, score, x0, y0, x1, y1) in pixels of a (416, 416, 3) picture."""
    mean, scale = np.array([103.53, 116.28, 123.675]), np.array([0.017429, 0.017507, 0.017125])
    x = ((bgr - mean) * scale).astype(np.float32).transpose(2, 0, 1)[None]
    out = session.run(None, {session.get_inputs()[0].name: x})[0][0]
    centres = np.concatenate([_centres(-(-416 // stride), stride) for stride in (8, 16, 32, 64)])
    weights = np.exp(out[:, 80:].reshape(-1, 4, 8))
    reach = (weights * np.arange(8)).sum(2) / weights.sum(2) * centres[:, 2:]
    boxes = np.concatenate([centres[:, :2] - reach[:, :2], centres[:, :2] + reach[:, 2:]], 1)
    return _suppressed(boxes, out[:, :80], least)


def yolox_boxes(session: ort.InferenceSession, bgr: Pixels, least: float) -> Iterator[tuple[float, ...]]:
    """The same, from a detector that answers with centre, size, objectness and 80 scores for each cell."""
    x = bgr.astype(np.float32).transpose(2, 0, 1)[None]
    out = session.run(None, {session.get_inputs()[0].name: x})[0][0]
    centres = np.concatenate([_centres(416 // stride, stride) for stride in (8, 16, 32)])
    middle, half = (out[:, :2] * centres[:, 2:] + centres[:, :2]), np.exp(out[:, 2:4]) * centres[:, 2:] / 2
    boxes = np.concatenate([middle - half, middle + half], 1)
    return _suppressed(boxes, out[:, 4:5] * out[:, 5:], least)


def _centres(count: int, stride: int) -> NDArray[np.float64]:
    y, x = np.mgrid[:count, :count]
    return np.stack([x.ravel() * stride, y.ravel() * stride, np.full(count * count, stride)], 1).astype(
        np.float64
    )


def _suppressed(
    boxes: NDArray[np.float64], scores: NDArray[np.float32], least: float
) -> Iterator[tuple[float, ...]]:
    for kind in (*COCO.values(), TRUCK):
        rows = np.flatnonzero(scores[:, kind] > least)
        wh = np.concatenate([boxes[rows, :2], boxes[rows, 2:] - boxes[rows, :2]], 1)
        for kept in (
            cv2.dnn.NMSBoxes(wh.tolist(), scores[rows, kind].tolist(), least, 0.5) if len(rows) else ()
        ):
            yield (kind, float(scores[rows[kept], kind]), *boxes[rows[kept]].tolist())


# Second labels. A tile has one label although it may hold more, so what teachers see is not counted against
# the network, and counts for it where they are sure.

LEAST_SECOND, SECOND = 0.25, 0.5


def targets(tiles: Tiles, seen: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 17) target probabilities and weights for a tile: 1 and 1 for its labels, soft or without weight in
    doubt."""
    target, weight = tiles.positive.astype(np.float32), np.ones(tiles.positive.shape, np.float32)
    names = {number: name for name, number in COCO.items()} | {TRUCK: "car"}
    surest = np.zeros_like(target)
    for index, kind, score in seen[:, :3]:
        # A truck is a car for some people.
        at = int(index), CLASS[names[int(kind)]]
        surest[at] = max(surest[at], score if int(kind) != TRUCK else min(score, SECOND - 0.01))
    beyond = target == 0
    weight[beyond & (surest >= LEAST_SECOND)] = 0.0
    second = beyond & (surest >= SECOND)
    target[second], weight[second] = 0.9, 0.8
    for i, (_, unsure) in corrected(tiles).items():
        target[i], weight[i] = tiles.positive[i], 1
        target[i, unsure], weight[i, unsure] = 1, 0
    # A school bus is a bus, and a taxi is a car, for people who click.
    for part, whole in PARTS:
        both = (target * weight)[:, part] == 1
        target[both, whole], weight[both, whole] = 1.0, 1.0
    return target, weight


def corrected(tiles: Tiles) -> dict[int, tuple[list[int], list[int]]]:
    """Training and calibration tiles that were looked at because a network contradicted their labels: the
    labels that are there, and those that may or may not be."""
    index = {name: i for i, name in enumerate(tiles.names)}
    with (HERE / "corrected.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    labels, unsure = (
        [[CLASS[name] for name in row[key].split()] for row in rows] for key in ("labels", "unsure")
    )
    return {index[row["file"]]: each for row, *each in zip(rows, labels, unsure, strict=True)}  # type: ignore[misc]


def looked_at(
    tiles: Tiles, weight: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]:
    """`positive`, `main` and weights of all tiles with the labels seen by eye in some test tiles: where data,
    networks and detectors named more than one label; who named which was hidden. Where it cannot be told, the
    label that was given stands, and another one counts neither way."""
    positive, main, weight = tiles.positive.copy(), tiles.main.copy(), weight.copy()
    # A school bus is a bus, and a taxi is a car, for people who click.
    for part, whole in PARTS:
        positive[positive[:, part] == 1, whole] = 1
    weight[positive == 1] = 1
    index = {name: i for i, name in enumerate(tiles.names)}
    with (HERE / "looked_at.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            i = index[row["file"]]
            labels, unsure = ([CLASS[name] for name in row[key].split()] for key in ("labels", "unsure"))
            positive[i], weight[i] = 0, 1
            positive[i, labels], weight[i, unsure] = 1, 0
            for part, whole in PARTS:
                positive[i, whole] |= positive[i, part]
            if main[i] not in labels:
                main[i] = labels[0] if labels else OTHER
    return positive, main, weight


# Small things in tiles of other labels, as challenges have them: cut out of one tile, laid into another.

# How often each label is laid in.
LAID = {"car": 3.0, "motorcycle": 2.0, "bicycle": 2.0, "traffic_light": 2.0, "bus": 1.0, "fire_hydrant": 0.5,
        "chimney": 0.5, "stairs": 0.5}  # fmt: skip
CUT_SURE = 0.55


class Cutouts:
    """What detectors are sure of in training tiles, and what was boxed by hand, to be laid into other tiles
    (Dwibedi et al. 2017)."""

    def __init__(self, tiles: Tiles, seen: NDArray[np.float32], rng: np.random.Generator) -> None:
        self.tiles, self.rng = tiles, rng
        names = {number: name for name, number in COCO.items()}
        found: dict[str, list[tuple[int, NDArray[np.float32]]]] = {name: [] for name in LAID}
        for row in seen:
            name, i, side = names.get(int(row[1])), int(row[0]), max(row[5] - row[3], row[6] - row[4])
            if name in found and row[2] >= CUT_SURE and 0.15 < side < 0.8 and tiles.split[i] == TRAIN:
                found[name].append((i, row[3:7]))
        for i, hand in boxed(tiles).items():
            name = FOLDERS[tiles.main[i]] if tiles.main[i] != OTHER else ""
            if name in found:
                found[name] += [(i, box[2:6]) for box in hand]
        self.found = {name: each for name, each in found.items() if each}
        often = np.array([LAID[name] for name in self.found])
        self.often = often / often.sum()

    def lay(self, tile: Pixels) -> tuple[Pixels, int]:
        """The tile with something small laid into it, off its middle, and the label of that."""
        name = list(self.found)[int(self.rng.choice(len(self.often), p=self.often))]
        i, box = self.found[name][int(self.rng.integers(len(self.found[name])))]
        wide = np.array([box[2] - box[0], box[3] - box[1]] * 2) * [-0.12, -0.12, 0.12, 0.12]
        x0, y0, x1, y1 = np.clip((box + wide) * SIDE, 0, SIDE).astype(int)
        cut = self.tiles.pixels[i][y0:y1, x0:x1]
        zoom = min(1.0, SIDE * self.rng.uniform(0.2, 0.5) / max(cut.shape[:2]))
        width, height = (max(4, int(side * zoom)) for side in (cut.shape[1], cut.shape[0]))
        cut = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA)
        if self.rng.random() < 0.5:
            cut = cut[:, ::-1]
        # Three places are tried, and the one farthest from the middle is taken.
        places = self.rng.random((3, 2)) * [SIDE - height, SIDE - width]
        middles = np.abs(places + (np.array([height, width]) - SIDE) / 2).max(1)
        y, x = places[int(middles.argmax())].astype(int)
        mask = np.zeros((height, width, 1), np.float32)
        edge = max(1, min(height, width) // 10)
        mask[edge:-edge, edge:-edge] = 1
        mask = cv2.blur(mask, (2 * edge + 1, 2 * edge + 1))[..., None]
        laid = tile.copy()
        under = laid[y : y + height, x : x + width]
        laid[y : y + height, x : x + width] = (mask * cut + (1 - mask) * under).astype(np.uint8)
        return laid, CLASS[name]


BY_HAND = -1  # class of a box that was drawn by hand


def boxed(tiles: Tiles) -> dict[int, list[NDArray[np.float32]]]:
    """Boxes drawn by hand in training tiles around what no detector knows, a few for what lies aslant: rows
    of class, score, x0, y0, x1, y1."""
    index = {name: i for i, name in enumerate(tiles.names)}
    found = {}
    with (HERE / "boxed.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            edges = [[float(edge) for edge in box.split()] for box in row["boxes"].split("; ")]
            found[index[row["file"]]] = [np.array([BY_HAND, 1.0, *box], np.float32) for box in edges]
    return found


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
        shape = x.shape if rng.random() < 0.6 else (*x.shape[:2], 1)
        x = x + np.float32(rng.uniform(8, 60)) * rng.standard_normal(shape, np.float32)
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
