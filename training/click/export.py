"""Quantizes the click networks where that costs nothing, and writes them into the package.

python -m training.click.export objects BANK PHOTOS
python -m training.click.export names BANK PHOTOS TILES WEIGHTS
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from training.click import named, train, train_names
from training.click.attributes import ATTRIBUTES, levels
from training.click.model import BothNet, NameNet, ObjectNet
from training.click.named import Views
from training.click.scenes import Bank, Scenes, grounds
from training.click.vocabulary import CLASSES, NAMES, NONE
from training.onnx_files import ends, ones_in_bytes, to_half, to_int8, to_onnx
from training.package import put

from legible.model_store import session
from legible.recognizers.click import names
from legible.recognizers.click.nouns import NOUNS
from legible.recognizers.click.preprocess import NETWORK_SIDE, tensor

Floats = NDArray[np.float32]

# Scenes that give the range of each activation, and on which fp32 is compared with int8.
RANGES_FROM, COMPARED = 120, 120
# Views of the held-out pictures of each class, and of none of them.
VIEWS, NONES = 12, 200
# Share of answers that int8 may cost; F1 from which on a noun is published, by use: in a scene it has only to
# be likelier than the other objects.
WORTH, GOOD_ENOUGH = 0.01, {"scenes": 0.35, "tiles": 0.8}
DECAY = 1e-4


def losses(path: Path, pictures: torch.Tensor, wanted: torch.Tensor) -> list[float]:
    run = session(path)
    maps = np.concatenate([run.run(None, {"pixels": each.numpy()})[0] for each in pictures.split(1)])
    return [round(float(each), 4) for each in train.loss_of(torch.from_numpy(maps), wanted)]


def export_objects(arguments: argparse.Namespace, folder: Path) -> None:
    net = ObjectNet()
    net.load_state_dict(torch.load(arguments.checkpoint or train.CHECKPOINT, map_location="cpu")["model"])
    plain, small = folder / "plain.onnx", folder / "int8.onnx"
    axes = {0: "n", 2: "height", 3: "width"}
    to_onnx(net.eval().folded(), torch.zeros(1, 4, NETWORK_SIDE, NETWORK_SIDE), plain, axes)
    if arguments.plain:
        return put(onnx.load(plain), "click", "click_objects", {})
    photos = grounds(arguments.photos, True)
    scenes = Scenes(Bank.load(arguments.bank, True), photos, np.random.default_rng(11), 60)
    to_int8(plain, small, (tensor(scenes.draw()[0]) for _ in range(RANGES_FROM)), ends, 0.02)
    compared = train.batch_of(scenes, COMPARED)
    for path in (plain, small):
        print(path.stem, "centres, inside, radii:", losses(path, *compared))
    return put(onnx.load(small), "click", "click_objects", {})


def meanings() -> dict[str, tuple[int, ...]]:
    """The classes of each of our nouns that has one."""
    return {noun: _numbers(CLASSES[noun].means) for noun in NOUNS if noun in CLASSES}


def _numbers(classes: Iterable[str]) -> tuple[int, ...]:
    return tuple(NAMES.index(name) for name in classes)


def held_out_views(arguments: argparse.Namespace) -> tuple[Views, NDArray[np.uint8], NDArray[np.intp]]:
    """Views of pictures that were not learned from, and their classes."""
    rng = np.random.default_rng(12)
    bank = Bank.load(arguments.bank, held_out=False)
    ground = Scenes(bank, grounds(arguments.photos, True), rng, 60)
    views = Views(named.load(bank, arguments.tiles, True), ground, rng)
    drawn = list(named.several(views, dict.fromkeys(NAMES, VIEWS) | {NONE: NONES}))
    return views, np.stack([picture for _, picture in drawn]), np.array([index for index, _ in drawn])


def scores_of(path: Path, pictures: NDArray[np.uint8]) -> Floats:
    run = session(path)
    parts = np.array_split(pictures, len(pictures) // 32)
    return np.concatenate([run.run(None, {"pixels": names.tensor(part)})[0] for part in parts])


def told(margin: Floats, right: NDArray[np.bool_], unsure: NDArray[np.bool_]) -> tuple[float, int, int, int]:
    """F1 of a noun when a third of the pictures show it; how many were found, missed, and wrong then."""
    said = margin > 0
    found, missed = int((said & right).sum()), int((~said & right).sum())
    others = ~right & ~unsure
    wrong = float((said & others).sum() / max(1, others.sum())) * 2 * int(right.sum())
    return 2 * found / max(1e-6, 2 * found + missed + wrong), found, missed, round(wrong)


def evidence_of(
    scores: Floats, classes: NDArray[np.intp], nouns: dict[str, tuple[int, ...]]
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Margins, whether they should be over 0, and their weights: both outcomes of every noun count alike."""
    margins, right, weight = [], [], []
    for noun, group in nouns.items():
        shown, unsure = (
            np.isin(classes, group),
            np.isin(classes, _numbers(CLASSES[noun].unsure)),
        )
        if shown.any():
            margins.append(names.margins(scores, group)[~unsure])
            right.append(shown[~unsure])
            weight.append(np.where(shown, 1 / shown.sum(), 1 / (~shown & ~unsure).sum())[~unsure])
    return np.concatenate(margins), np.concatenate(right), np.concatenate(weight)


def export_names(arguments: argparse.Namespace, folder: Path) -> None:
    before, learned = (NameNet(train_names.GROUPS, arguments.weights, train_names.NEAR) for _ in range(2))
    learned.load_state_dict(torch.load(arguments.checkpoint or train_names.CHECKPOINT, map_location="cpu"))
    net = BothNet(learned, before)
    plain, small = folder / "plain.onnx", folder / "int8.onnx"
    outputs = ("pixels", "logits", "attributes", "seen")
    to_onnx(net, torch.zeros(2, 3, names.CROP, names.CROP), plain, {0: "n"}, outputs)
    _, pictures, classes = held_out_views(arguments)
    order = np.random.default_rng(13).permutation(len(pictures))
    some = (names.tensor(pictures[part]) for part in np.array_split(order[:200], 25))
    # The first two blocks have few channels, which differ so much that 8 bits lose them.
    to_int8(plain, small, some, partial(ends, first=3), 0.02, bits=8)
    said = {path: scores_of(path, pictures) for path in (plain, small)}
    right = {path: float((scores.argmax(1) == classes).mean()) for path, scores in said.items()}
    print({path.stem: f"{share:.1%}" for path, share in right.items()}, f"of {len(pictures)} held-out views")
    best = small if right[small] >= right[plain] - WORTH else plain
    path, scores = small if best is small else to_half(plain, folder / "half.onnx"), said[best]
    calibrating, testing = np.arange(len(pictures)) % 3 == 0, np.arange(len(pictures)) % 3 > 0
    nouns = meanings()
    slope, offset = logistic(*evidence_of(scores[calibrating], classes[calibrating], nouns))
    rows = []
    for noun, group in nouns.items():
        unsure = np.isin(classes, _numbers(CLASSES[noun].unsure))
        # Evidence has even odds; in tiles a third fits.
        margin = slope * names.margins(scores, group) + offset - np.log(2)
        shown = np.isin(classes, group)
        parts = (calibrating, testing, calibrating | testing)
        first, second, both = (told(margin[part], shown[part], unsure[part]) for part in parts)
        # For tiles what was measured must not choose; scenes are measured apart, by calibrate.py.
        chosen = {"scenes": both[0], "tiles": first[0]}
        rows.append((noun, chosen, *second))
    tested = [row for row in rows if row[3] + row[4]]
    published = {use: [row for row in tested if row[1][use] >= least] for use, least in GOOD_ENOUGH.items()}
    for row in sorted(tested, key=lambda row: -row[2]):
        uses = [use for use, part in published.items() if row in part]
        print(f"| {row[0]} | {row[3] + row[4]} | {row[2]:.2f} | {', '.join(uses)} |")
    for use, part in published.items():
        found, missed, wrong = (sum(row[i] for row in part) for i in (3, 4, 5))
        print(f"{use}: {len(part)} nouns, F1 together {2 * found / (2 * found + missed + wrong):.3f}")
    facts = {
        "nouns": {row[0]: nouns[row[0]] for row in published["scenes"]},
        "tiles": [row[0] for row in published["tiles"]],
        "calibration": [round(slope, 4), round(offset, 4)],
        "attributes": ATTRIBUTES,
        "levels": levels(),
    }
    model = onnx.load(path)
    ones_in_bytes(model)
    put(model, "click", "click_names", {key: json.dumps(value) for key, value in facts.items()})


def logistic(margins: Floats, right: NDArray[np.bool_], weight: Floats) -> tuple[float, float]:
    """Slope and offset with the least log loss, by Newton's method with half steps and a little decay."""
    x = np.column_stack([margins, np.ones(len(margins))]).astype(np.float64)
    theta, weight = np.array([0.1, 0.0]), weight / weight.sum()
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(x @ theta, -30, 30)))
        slopes = x.T @ (weight * (p - right)) + DECAY * theta
        curves = (x * (weight * p * (1 - p))[:, None]).T @ x + DECAY * np.eye(2)
        theta = theta - 0.5 * np.linalg.solve(curves, slopes)
    return float(theta[0]), float(theta[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("objects", "names"))
    parser.add_argument("bank", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("tiles", type=Path, nargs="?")
    parser.add_argument("weights", type=Path, nargs="?")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--plain", action="store_true", help="as it is, in fp32, without measuring")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        (export_objects if arguments.which == "objects" else export_names)(arguments, Path(folder))


if __name__ == "__main__":
    main()
