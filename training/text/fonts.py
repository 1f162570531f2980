"""Glyph masks of every usable installed face, rendered once and cached: what the generator draws with."""

from __future__ import annotations

import pickle
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from fontTools.ttLib import TTCollection, TTFont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

ROOTS = (Path("/usr/share/fonts"),)
CACHE = Path(__file__).parent / "build" / "glyphs.pickle"

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SYMBOLS = "+-*×/÷=?().·:"
HAN = "加减乘除上去以等于几是多少零一二三四五六七八九十两请计算壹贰叁肆伍陆柒捌玖"

CAP_PX = 48  # height of a capital in the rendered masks
MIN_READABLE = 0.62  # share of a face's letters that must look like those of other faces
# Thousands of faces share a few designs: at most this many of one family, and of one package.
MAX_PER_FAMILY, MAX_PER_PACKAGE = 6, 130
# Families for other scripts and symbols, and system copies of the same outlines.
SKIP = (
    "noto/NotoSans",
    "noto/NotoSerif",
    "Symbol",
    "Dingbat",
    "Emoji",
    "Math",
    "X11/Type1",
    "barcode",
    "Braille",
    "Ornament",
)
KEEP_NOTO = ("NotoSans-", "NotoSerif-", "NotoSansMono", "NotoSansDisplay-", "NotoSerifDisplay-", "CJK")


@dataclass(frozen=True, slots=True)
class Glyph:
    """`mask` (h, w) uint8 coverage; its left edge and its top are `left` and `top` px from the pen and
    above the baseline."""

    mask: NDArray[np.uint8]
    left: float
    top: float
    advance: float


@dataclass(slots=True)
class Face:
    """One face; `caps_only` if its lower case looks like its capitals, so that case cannot be read."""

    name: str
    family: str
    package: str
    glyphs: dict[str, Glyph]
    caps_only: bool = False


def _render(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, char: str, scale: float) -> Glyph | None:
    box = font.getbbox(char, anchor="ls") if isinstance(font, ImageFont.FreeTypeFont) else (0, -11, 8, 3)
    width, height = int(box[2] - box[0]), int(box[3] - box[1])
    if not (0 < width < 400 and 0 < height < 400):
        return None
    image = Image.new("L", (width + 4, height + 4))
    if isinstance(font, ImageFont.FreeTypeFont):
        ImageDraw.Draw(image).text((2 - box[0], 2 - box[1]), char, 255, font=font, anchor="ls")
    else:
        ImageDraw.Draw(image).text((2, 2), char, 255, font=font)
    mask = np.asarray(image)
    rows, columns = np.flatnonzero(mask.max(1) > 40), np.flatnonzero(mask.max(0) > 40)
    if not len(rows):
        return None
    left, top = box[0] - 2 + columns[0], -(box[1] - 2 + rows[0])
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if scale > 1:
        mask = np.kron(mask, np.ones((int(scale), int(scale)), np.uint8))
    advance = font.getlength(char)
    return Glyph(np.ascontiguousarray(mask), left * scale, top * scale, advance * scale)


def _charmap(path: Path, index: int) -> set[int]:
    font = TTCollection(path, lazy=True).fonts[index] if path.suffix == ".ttc" else TTFont(path, lazy=True)
    return set(font.getBestCmap() or ())


def _load_face(path: Path) -> Face | None:
    chars = _charmap(path, 0)
    wanted = [c for c in LETTERS + SYMBOLS + HAN if ord(c) in chars]
    if sum(c in LETTERS for c in wanted) < 36:
        return None
    font = ImageFont.truetype(str(path), 64, layout_engine=ImageFont.Layout.BASIC)
    capital = _render(font, "H" if ord("H") in chars else "h", 1)
    if capital is None or capital.mask.shape[0] < 12:
        return None
    font = ImageFont.truetype(
        str(path), round(64 * CAP_PX / capital.mask.shape[0]), layout_engine=ImageFont.Layout.BASIC
    )
    glyphs = {c: g for c in wanted if (g := _render(font, c, 1)) is not None}
    family, style = font.getname()
    return Face(f"{family} {style}", family or path.stem, path.parent.name, glyphs)


def _bitmap_face() -> Face:
    """Pillow's own bitmap font, blown up: what old web servers draw with."""
    font = ImageFont.load_default_imagefont()
    glyphs = {c: g for c in LETTERS + "+-*/=?().:" if (g := _render(font, c, 6)) is not None}
    return Face("Pillow bitmap", "Pillow bitmap", "pillow", glyphs)


def _without_twins(face: Face) -> bool:
    """False for a face that draws the same picture (an empty box) for several characters of different
    names."""
    pictures: dict[bytes, set[str]] = defaultdict(set)
    for char, glyph in face.glyphs.items():
        pictures[glyph.mask.tobytes()].add(char.lower())
    twins = {
        "0": "o",
        "1": "li",
        "l": "1i",
        "i": "1l",
        "o": "0",
        "x": "×",
        "×": "x",
        "一": "-",
        "-": "一",
        ".": "·",
        "·": ".",
    }
    worst = 0
    for group in pictures.values():
        worst = max(worst, len({c for c in group if not any(t in group for t in twins.get(c, ""))}))
    return worst <= 1


def _thumb(glyph: Glyph) -> NDArray[np.float32]:
    """(256,) unit vector: the glyph stretched to 16x16, with its aspect, so that shapes can be compared."""
    picture = cv2.resize(glyph.mask, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    height, width = glyph.mask.shape
    vector = np.append(picture / (np.linalg.norm(picture) + 1e-6), 0.5 * np.log(width / height))
    return vector.astype(np.float32)


def _readable(faces: list[Face]) -> list[Face]:
    """Faces whose letters are, for most, nearest to the same letter of another family."""
    vectors, labels, families = [], [], []
    ids = {name: i for i, name in enumerate(sorted({f.family for f in faces}))}
    for face in faces:
        for char in LETTERS:
            if char in face.glyphs:
                vectors.append(_thumb(face.glyphs[char]))
                labels.append(char.lower())
                families.append(ids[face.family])
    matrix, label, family = np.stack(vectors), np.array(labels), np.array(families)
    squares = (matrix**2).sum(1)
    right: dict[int, list[bool]] = defaultdict(list)
    start = 0
    kept = []
    look_alike = {
        "0": "o",
        "o": "0",
        "1": "li",
        "l": "1i",
        "i": "l1",
        "5": "s",
        "s": "5",
        "2": "z",
        "z": "2",
        "9": "q",
        "q": "9",
    }
    for face in faces:
        count = sum(c in face.glyphs for c in LETTERS)
        block = slice(start, start + count)
        distance = squares[None] - 2 * matrix[block] @ matrix.T
        distance[:, family == ids[face.family]] = np.inf
        nearest = np.argpartition(distance, 5, axis=1)[:, :5]
        votes = [Counter(label[row]) for row in nearest]
        good = [
            vote[want] + sum(vote[o] for o in look_alike.get(want, "")) >= 2
            for vote, want in zip(votes, label[block], strict=True)
        ]
        start += count
        if np.mean(good) >= MIN_READABLE:
            # Single letters that look like nothing else are dropped from a face that is kept.
            strange = [
                c
                for c, ok, vote in zip([c for c in LETTERS if c in face.glyphs], good, votes, strict=True)
                if not ok and not vote[c.lower()] and face.package == "aenigma"
            ]
            for char in strange:
                del face.glyphs[char]
            kept.append(face)
    del right
    return kept


def _caps_only(face: Face) -> bool:
    pairs = [(face.glyphs.get(c), face.glyphs.get(c.upper())) for c in "abdeghnqrt"]
    if any(low is None or high is None for low, high in pairs):
        return sum(low is None for low, _ in pairs) > 3
    alike = [float(_thumb(low)[:-1] @ _thumb(high)[:-1]) for low, high in pairs if low and high]
    return float(np.mean(alike)) > 0.9


def _to_plain(face: Face) -> tuple[object, ...]:
    glyphs = {c: (g.mask, g.left, g.top, g.advance) for c, g in face.glyphs.items()}
    return face.name, face.family, face.package, glyphs, face.caps_only


def _from_plain(name: str, family: str, package: str, glyphs: dict[str, tuple], caps_only: bool) -> Face:  # type: ignore[type-arg]
    return Face(name, family, package, {c: Glyph(*g) for c, g in glyphs.items()}, caps_only)


def load_faces() -> list[Face]:
    """All usable faces of this machine, from the cache if there is one."""
    if CACHE.exists():
        with CACHE.open("rb") as file:
            return [_from_plain(*row) for row in pickle.load(file)]
    faces: list[Face] = [_bitmap_face()]
    paths = sorted(
        p for root in ROOTS for p in root.rglob("*") if p.suffix.lower() in (".ttf", ".otf", ".ttc", ".pfb")
    )
    seen: set[str] = set()
    for path in paths:
        text = str(path)
        if any(s in text for s in SKIP) and not any(k in path.name for k in KEEP_NOTO):
            continue
        try:
            face = _load_face(path)
        except Exception as error:
            print(f"{path.name}: {error!r}", file=sys.stderr)
            continue
        if face is None or face.name in seen or not _without_twins(face):
            continue
        seen.add(face.name)
        faces.append(face)
    faces = _readable(faces)
    rng = np.random.default_rng(1)
    rng.shuffle(faces)  # type: ignore[arg-type]
    per_family: Counter[str] = Counter()
    per_package: Counter[str] = Counter()
    kept = []
    for face in faces:
        if per_family[face.family] < MAX_PER_FAMILY and per_package[face.package] < MAX_PER_PACKAGE:
            per_family[face.family] += 1
            per_package[face.package] += 1
            face.caps_only = _caps_only(face)
            kept.append(face)
    CACHE.parent.mkdir(exist_ok=True)
    with CACHE.open("wb") as file:
        pickle.dump([_to_plain(face) for face in kept], file)
    return kept


if __name__ == "__main__":
    every = load_faces()
    print(
        len(every),
        "faces",
        len({f.family for f in every}),
        "families",
        sum(f.caps_only for f in every),
        "caps only",
        sum(all(c in f.glyphs for c in HAN) for f in every),
        "with the Chinese characters",
    )
