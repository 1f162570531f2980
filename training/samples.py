"""Draws the console's sample pictures with the generators of `training/`, and says what is right.

    python training/samples.py [KIND ...] [--sheet FILE]

The chosen ones are named at the top; `--sheet` draws sliders to choose others from. All is drawn, backgrounds
too: no photo is in them.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src"), str(ROOT / "training" / "text")]

from data import Generator  # noqa: E402
from training import street  # noqa: E402
from training.click import data as click  # noqa: E402
from training.slider import data as slider  # noqa: E402
from training.slider.photos import Photos  # noqa: E402

OUT = ROOT / "src" / "legible" / "console" / "static" / "samples"
# Seed and level of the generator, and which of its pictures.
TEXT = (77, 0.6, (0, 37, 7, 19))
ARITHMETIC = (2026, 0.5, (40, 34, 45))
SLIDERS = (("two", 12), ("bare", 16), ("screenshot", 2))
# The tiles of a grid from left to right, top to bottom, and which of them are asked for.
GRIDS = (
    ("hydrant house crosswalk palm crosswalk bus traffic_light mountains crosswalk", "crosswalk"),
    (
        "bus traffic_light trees empty_road mountains palm traffic_light hydrant traffic_light",
        "traffic_light",
    ),
)
# One scene that is cut in 4x4 squares.
SCENE = (street.hydrant, 2)
# What is asked, the generator's level and its seed.
CLICKS = ((click.Asked.ODD, 4, 6), (click.Asked.UNIFORM, 4, 8), (click.Asked.LARGEST, 3, 1))
SIDE = 700
HOW = {
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, 9],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 85],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 85],
}


def texts(seed: int, level: float, chosen: tuple[int, ...]) -> list[tuple[str, np.ndarray]]:
    """Label and RGB picture of the chosen samples."""
    generator = Generator(seed, level)
    drawn = [generator.sample() for _ in range(max(chosen) + 1)]
    return [(drawn[index].label, drawn[index].rgb) for index in chosen]


def scenery(rng: np.random.Generator) -> Photos:
    """Backgrounds out of nothing: hills under a sky, with a sun."""
    return Photos([_hills(rng) for _ in range(6)], [np.dstack([_hills(rng)[:90, :90], _disc(90)])])


def _disc(side: int) -> np.ndarray:
    return cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), side // 2 - 2, 255, -1)


def _hills(rng: np.random.Generator) -> np.ndarray:
    top, bottom = rng.uniform(120, 255, 3), rng.uniform(150, 255, 3)
    rows = np.linspace(0, 1, SIDE)[:, None, None]
    picture = np.broadcast_to(top * (1 - rows) + bottom * rows, (SIDE, SIDE, 3)).copy()
    sun = tuple(int(v) for v in rng.integers(80, SIDE - 80, 2))
    cv2.circle(picture, sun, int(rng.integers(30, 70)), (255, 236, 170), -1, cv2.LINE_AA)
    x = np.arange(SIDE)
    for layer in range(7):
        height = SIDE * (0.25 + 0.11 * layer)
        for wave in (90, 190, 410):
            height = height + rng.uniform(8, 30) * np.sin(
                x / (wave * rng.uniform(0.7, 1.3)) * 6.28 + rng.uniform(0, 6.28)
            )
        points = np.vstack([np.stack([x, height], 1), [[SIDE, SIDE], [0, SIDE]]]).astype(np.int32)
        cv2.fillPoly(picture, [points], rng.uniform(30, 190, 3).tolist(), cv2.LINE_AA)
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def one_slider(form: slider.Form, seed: int) -> slider.Scene:
    """A slider of that form; the same seed gives the same picture."""
    rng = np.random.default_rng(seed)
    return slider.scene(rng, scenery(rng), form)


def draw_texts() -> None:
    for kind, (seed, level, chosen) in (("text", TEXT), ("arithmetic", ARITHMETIC)):
        for number, (label, rgb) in enumerate(texts(seed, level, chosen), 1):
            save(f"{kind}-{number}.png", rgb, label)


def draw_sliders() -> None:
    for number, (form, seed) in enumerate(SLIDERS, 1):
        drawn = one_slider(form, seed)
        save(f"slider-{number}.jpg", drawn.image, drawn.gap)
        if drawn.piece is not None:
            save(f"slider-{number}-piece.png", drawn.piece)


def draw_grids() -> None:
    for number, (names, asked) in enumerate(GRIDS, 1):
        shown = names.split()
        tiles = [street.tile(getattr(street, name), seed) for seed, name in enumerate(shown)]
        rows = [np.hstack(tiles[start : start + 3]) for start in (0, 3, 6)]
        wanted = [str(index) for index, name in enumerate(shown) if name == asked]
        save(f"grid-{number}.webp", np.vstack(rows), ", ".join(wanted))
    save(f"grid-{len(GRIDS) + 1}.webp", street.tile(*SCENE, side=450), "see which squares it touches")


def draw_clicks() -> None:
    for number, (asked, level, seed) in enumerate(CLICKS, 1):
        scene = click.scene(np.random.default_rng(seed), level, asked)
        (wanted,) = [place for place in scene.places if place.wanted]
        save(f"click-{number}.webp", scene.rgb, f"{wanted.x:.0f}, {wanted.y:.0f}, radius {wanted.radius:.0f}")


def save(name: str, rgb: np.ndarray, label: object = "") -> None:
    """Writes a JPEG or WebP, or a PNG with transparency where there is some."""
    code = cv2.COLOR_RGBA2BGRA if rgb.shape[2] == 4 else cv2.COLOR_RGB2BGR
    cv2.imwrite(str(OUT / name), cv2.cvtColor(rgb, code), HOW[Path(name).suffix])
    print(name, label)


def sheet(path: str) -> None:
    """Forty sliders with their seeds."""
    tiles = []
    for seed in range(40):
        form = ("two", "bare", "screenshot")[seed % 3]
        tile = cv2.resize(one_slider(form, seed).image, (240, 140))
        cv2.putText(
            tile, f"{form} {seed}", (4, 134), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 0, 0), 1, cv2.LINE_AA
        )
        tiles.append(tile)
    rows = [np.hstack(tiles[start : start + 5]) for start in range(0, 40, 5)]
    cv2.imwrite(path, cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


DRAW = {"text": draw_texts, "slider": draw_sliders, "grid": draw_grids, "click": draw_clicks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(DRAW))
    parser.add_argument("--sheet")
    arguments = parser.parse_args()
    if arguments.sheet:
        return sheet(arguments.sheet)
    OUT.mkdir(exist_ok=True)
    for kind in arguments.kinds or DRAW:
        DRAW[kind]()
    return None


if __name__ == "__main__":
    main()
