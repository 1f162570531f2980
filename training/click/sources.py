"""Collects the named pictures that sources.sh unpacks into one bank: cut-outs, and some photos.

    python -m training.click.sources FOLDER BANK

BANK.npy holds (n, 96, 96, 4) RGBA; BANK.json a row for each: name, source, and whether it is cut out.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import struct
import subprocess
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.ttLib import TTFont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from training.click.vocabulary import class_of

Rgba = NDArray[np.uint8]

SIDE = 96
# Bytes of a clip: drawings of more detail than that take long to open, and lose it at this size.
LARGEST_FILE = 250_000
PICTURES = {".png", ".webp", ".jpg", ".jpeg", ".svg"}
# Skin tones, flags and the like are variants of one drawing.
EMOJI = (*range(0x1F300, 0x1F3FB), *range(0x1F400, 0x1F650), *range(0x1F680, 0x1F6FD),
         *range(0x1F900, 0x1FB00),
         *range(0x2600, 0x27C0), *range(0x2B00, 0x2B60))  # fmt: skip
# Sets and whose hand they are by: what one hand drew twice is one source.
ICON_SETS = {
    "fluent-emoji": "fluent", "fluent-emoji-flat": "fluent", "fxemoji": "fxemoji", "openmoji": "openmoji",
    "emojione": "emojione", "emojione-v1": "emojione", "noto-v1": "noto",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """`name` in words, of which file, glyph or folder; `cut`: only the thing is opaque."""

    name: str
    source: str
    cut: bool


def stamps(folder: Path) -> Iterator[tuple[str, str, Image.Image]]:
    root = folder / "photos/usr/share/tuxpaint/stamps"
    for file in sorted(root.rglob("*")):
        if file.suffix in (".png", ".svg") and "money" not in file.parts and "alphabets" not in file.parts:
            yield _words(file, root), "stamps", _open(file.name, file.read_bytes())


def clip_art(folder: Path) -> Iterator[tuple[str, str, Image.Image]]:
    root = folder / "debian/openclipart-png/usr/share/openclipart/png"
    skipped = {"signs_and_symbols", "buttons", "logos", "special", "geography", "shapes", "decorations"}
    for file in sorted(root.rglob("*.png")):
        if file.relative_to(root).parts[0] not in skipped and file.stat().st_size < LARGEST_FILE:
            yield _words(file, root), "openclipart", _open(file.name, file.read_bytes())


def gcompris(folder: Path) -> Iterator[tuple[str, str, Image.Image]]:
    for archive in sorted((folder / "debian/gcompris-qt-data/usr/share/gcompris-qt/rcc").glob("*.rcc")):
        for path, data in _resources(archive.read_bytes()):
            if path.suffix in PICTURES:
                yield _words(path, path.parents[-2]), "gcompris", _open(path.name, data)


def noto(folder: Path) -> Iterator[tuple[str, str, Image.Image]]:
    path = folder / "debian/fonts-noto-color-emoji/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
    yield from _glyphs(path, 109, "noto")


def symbola(folder: Path) -> Iterator[tuple[str, str, Image.Image]]:
    path = folder / "debian/fonts-symbola/usr/share/fonts/truetype/ancient-scripts/Symbola_hint.ttf"
    yield from _glyphs(path, 120, "symbola")


def twemoji(folder: Path) -> Iterator[tuple[str, str, Image.Image]]:
    """Its glyphs are layers of flat outlines, each in a colour of the palette."""
    font = TTFont(folder / "debian/firefox-esr/usr/lib/firefox-esr/fonts/TwemojiMozilla.ttf")
    glyphs, names, layers = font.getGlyphSet(), font.getBestCmap(), font["COLR"].ColorLayers
    palette = font["CPAL"].palettes[0]
    top, bottom = font["hhea"].ascent, font["hhea"].descent
    for code in EMOJI:
        if names.get(code) not in layers:
            continue
        paths = []
        for layer in layers[names[code]]:
            pen = SVGPathPen(glyphs)
            glyphs[layer.name].draw(pen)
            colour = palette[layer.colorID]
            paths.append(
                f'<path fill="#{colour.red:02x}{colour.green:02x}{colour.blue:02x}" '
                f'fill-opacity="{colour.alpha / 255}" d="{pen.getCommands()}"/>'
            )
        wide = glyphs[names[code]].width
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {-top} {wide} {top - bottom}">'
            f'<g transform="scale(1,-1)">{"".join(paths)}</g></svg>'
        )
        yield unicodedata.name(chr(code), "").lower(), "twemoji", _drawn(svg.encode())


def icon_sets(folder: Path) -> Iterator[tuple[str, str, Image.Image]]:
    """Emoji of several hands from Iconify's sets: those that show a thing we have a noun for, and some
    others."""
    for name, source in ICON_SETS.items():
        icons = json.loads((folder / "icons" / name / "package/icons.json").read_text())
        for place, (words, icon) in enumerate(icons["icons"].items()):
            if class_of(words.replace("-", " "), source) is None and place % 12:
                continue
            wide, high = (icon.get(key, icons.get(key, 16)) for key in ("width", "height"))
            svg = (
                f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'viewBox="0 0 {wide} {high}">{icon["body"]}</svg>'
            )
            yield words.replace("-", " "), source, _open(f"{words}.svg", svg.encode())


def _glyphs(path: Path, size: int, source: str) -> Iterator[tuple[str, str, Image.Image]]:
    font, known = ImageFont.truetype(str(path), size), TTFont(path).getBestCmap()
    for code in EMOJI:
        if code in known:
            drawn = Image.new("RGBA", (3 * SIDE, 2 * SIDE), (0, 0, 0, 0))
            ImageDraw.Draw(drawn).text((SIDE // 2, 5), chr(code), (0, 0, 0), font, embedded_color=True)
            yield unicodedata.name(chr(code), "").lower(), source, drawn


def _words(file: Path, root: Path) -> str:
    parts = " / ".join(file.relative_to(root).with_suffix("").parts)
    apart = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|[_\-.0-9]+", " ", parts)
    return " ".join(apart.lower().split())


def _open(name: str, data: bytes) -> Image.Image:
    try:
        if name.endswith(".svg"):
            return _drawn(data)
        picture = Image.open(io.BytesIO(data))
        picture.draft("RGB", (2 * SIDE, 2 * SIDE))
        return picture.convert("RGBA")
    except (OSError, ValueError, subprocess.SubprocessError):
        return Image.new("RGBA", (1, 1))


def _drawn(svg: bytes) -> Image.Image:
    command = ["rsvg-convert", "--keep-aspect-ratio", "-w", str(2 * SIDE), "-h", str(2 * SIDE)]
    png = subprocess.run(command, input=svg, capture_output=True, check=True, timeout=10).stdout
    return Image.open(io.BytesIO(png)).convert("RGBA")


def _resources(data: bytes) -> Iterator[tuple[Path, bytes]]:
    """The files in a Qt resource archive."""
    version, tree, contents, names = struct.unpack(">4I", data[4:20])
    size = 14 if version < 2 else 22

    def walk(index: int, path: Path) -> Iterator[tuple[Path, bytes]]:
        entry = tree + index * size
        name, flags = struct.unpack(">IH", data[entry : entry + 6])
        length = struct.unpack(">H", data[names + name : names + name + 2])[0]
        text = data[names + name + 6 : names + name + 6 + 2 * length].decode("utf-16-be")
        if flags & 2:
            count, first = struct.unpack(">II", data[entry + 6 : entry + 14])
            for child in range(first, first + count):
                yield from walk(child, path / text)
        elif not flags & 4:
            at = contents + struct.unpack(">I", data[entry + 10 : entry + 14])[0]
            length = struct.unpack(">I", data[at : at + 4])[0]
            body = data[at + 4 : at + 4 + length]
            yield path / text, zlib.decompress(body[4:]) if flags & 1 else body

    yield from walk(0, Path("/"))


def fitted(picture: Image.Image) -> tuple[Rgba, bool] | None:
    """(SIDE, SIDE, 4) with what is opaque as large as fits, and whether it is cut out; None for what is
    too thin, too small or empty."""
    box = picture.getchannel("A").point(lambda a: 255 * (a > 40)).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 32:
        return None
    picture = picture.crop(box)
    if max(picture.size) > 3 * min(picture.size):
        return None
    scale = SIDE / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = picture.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR)
    whole = np.zeros((SIDE, SIDE, 4), np.uint8)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    whole[top : top + size[1], left : left + size[0]] = np.asarray(small)
    opaque = float((np.asarray(small)[..., 3] > 128).mean())
    return (whole, opaque < 0.97) if opaque > 0.12 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("bank", type=Path)
    arguments = parser.parse_args()
    entries, pictures = [], []
    for source in (stamps, noto, twemoji, symbola, gcompris, clip_art, icon_sets):
        before = len(entries)
        for name, origin, picture in source(arguments.folder):
            if (kept := fitted(picture)) is not None:
                entries.append(Entry(name, origin, kept[1]))
                pictures.append(kept[0])
        print(source.__name__, len(entries) - before, flush=True)
    np.save(arguments.bank.with_suffix(".npy"), np.stack(pictures))
    rows = [asdict(entry) for entry in entries]
    arguments.bank.with_suffix(".json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
