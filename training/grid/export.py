"""Quantizes both grid networks, calibrates and measures them on pictures they never saw, and writes them into
the package:
`python training/grid/export.py FOLDER/tiles FOLDER/weights`."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "src"), str(ROOT)]

from data import (  # noqa: E402
    CLASS,
    FOLDERS,
    IDS,
    OTHER,
    TEST,
    TRAIN,
    VALIDATION,
    Tiles,
    boxes,
    load,
    looked_at,
    targets,
    view,
)
from model import TileNet  # noqa: E402
from scene_model import SceneNet  # noqa: E402
from scenes import Marked, marked  # noqa: E402
from train import BUILD, CHECKPOINT, DETECTED, LIKE, first_label, restore, top1  # noqa: E402
from training.onnx_files import to_half, to_int8, to_onnx  # noqa: E402
from training.package import put  # noqa: E402

from legible.model_store import session  # noqa: E402
from legible.recognizers.grid.decode import COUNTS, decode  # noqa: E402
from legible.recognizers.grid.model import (  # noqa: E402
    TWICE,
    Calibration,
    columns,
    doubtful,
    evidence,
    margins,
    scene_margins,
)
from legible.recognizers.grid.preprocess import SCENE_PX, TILE_PX, scene_tensor, tensor  # noqa: E402
from legible.recognizers.subsets import place_of, posterior  # noqa: E402

RANGES_FROM = 100  # pictures by which the range of each activation is found
WORTH = 0.5  # points of accuracy that int8 may cost: a tile that calibrates is 0.1
GRIDS = 2000
HOLD = 1e-3  # of 3e-2 to 3e-4, by the log loss of calibrating tiles that were left out
SHARPER = (1.0, 1.1, 1.2, 1.3, 1.4)
NONE_RAISED = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
BACK = 0.15  # of 0, 0.15, 0.3 and 0.5, on the marked scenes that calibrate; 0 was as good there

Floats = NDArray[np.float32]


def on_disk(net: nn.Module, side: int, path: Path) -> None:
    to_onnx(net, torch.zeros(2, 3, side, side), path, {0: "n"})


def rough(nodes: Sequence[onnx.NodeProto]) -> list[str]:
    """The first two blocks, whose few channels differ so much that int8 loses them, and the head."""
    inside = re.compile(r"/blocks\.(?!(0|1)/)")
    return [node.name for node in nodes if not inside.search(node.name)]


def run(model: ort.InferenceSession, tensors: Floats, size: int = 16) -> Floats:
    parts = [model.run(None, {"pixels": tensors[i : i + size]})[0] for i in range(0, len(tensors), size)]
    return np.concatenate(parts)


def milliseconds(model: ort.InferenceSession, tensors: Floats) -> float:
    """CPU time of one call, the median of twenty."""
    model.run(None, {"pixels": tensors})
    taken = []
    for _ in range(20):
        start = time.process_time()
        model.run(None, {"pixels": tensors})
        taken.append(time.process_time() - start)
    return 1e3 * float(np.median(taken))


def logistic(
    features: Floats, right: NDArray[np.bool_], weight: Floats, label: NDArray[np.intp]
) -> list[Calibration]:
    """For each label the weights with the least log loss, both outcomes counted alike, by Newton's method.

    Labels share the slopes, and have offsets that are held near a common one.
    """
    own = np.eye(OTHER)[label]
    x = np.column_stack([features, np.ones(len(features)), own]).astype(np.float64)
    w = weight / np.where(right, weight[right].sum(), weight[~right].sum())
    hold = np.array([1e-4] * 3 + [HOLD] * OTHER)
    theta = np.array([0.5] + [0.0] * (len(hold) - 1))
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ theta, -30, 30)))
        gradient = x.T @ (w * (p - right)) + hold * theta
        theta = theta - np.linalg.solve((x * (w * p * (1 - p))[:, None]).T @ x + np.diag(hold), gradient)
    return [Calibration(float(theta[0]), float(theta[1]), float(theta[2] + more)) for more in theta[3:]]


def sharper(calibrations: list[Calibration], by: float) -> list[Calibration]:
    return [Calibration(*(round(by * value, 4) for value in asdict(each).values())) for each in calibrations]


def pairs(
    positive: NDArray[np.uint8], weight: Floats, logits: Floats
) -> tuple[Floats, NDArray[np.bool_], Floats, NDArray[np.intp]]:
    """Every (tile, label) whose answer is known: its two features, the answer, its weight, and the label."""
    features, right, weights, labels = [], [], [], []
    for c in range(OTHER):
        known = weight[:, c] > 0.9
        has = positive[:, c] == 1
        if not has.any():
            continue
        own = columns(tuple(IDS), IDS[c])
        features.append(np.column_stack([logits[:, own].max(1), margins(logits, own)])[known])
        right.append(has[known])
        # Every label counts alike: as many of it as of all the others.
        weights.append(
            np.where(has, 1.0 / has.sum(), 1.0 / max(1, (known & ~has).sum()))[known] * np.sqrt(has.sum())
        )
        labels.append(np.full(known.sum(), c))
    each = (np.concatenate(v) for v in (features, right, weights, labels))
    return tuple(each)  # type: ignore[return-value]


def calibrated(positive: NDArray[np.uint8], weight: Floats, plain: Floats, both: Floats) -> list[Calibration]:
    """The calibration of each label: tile by tile, then as much sharper as whole challenges of these tiles
    ask for. `plain` and `both` are logits of one look, and the mean with the mirrored tile's."""
    each = logistic(*pairs(positive, weight, both))
    known = positive, weight, plain, both
    surprise = [
        -np.mean([np.log(max(g.sure, 1e-9)) for g in challenges(*known, sharper(each, by))]) for by in SHARPER
    ]
    best = SHARPER[int(np.argmin(surprise))]
    print("sharper by", best, "of", dict(zip(SHARPER, np.round(surprise, 4), strict=True)))
    return sharper(each, best)


def report_tiles(tiles: Tiles, rows: NDArray[np.intp], logits: Floats) -> str:
    """A line a label: precision, recall and F1 of the first label, and how many tested tiles there are."""
    best, has = (
        first_label(logits),
        np.concatenate([tiles.positive[rows], (tiles.main[rows] == OTHER)[:, None]], 1),
    )
    lines = ["| label | tested | precision | recall | F1 |", "|---|---|---|---|---|"]
    for c, name in enumerate([*FOLDERS, "none of them"]):
        said, there = best == c, has[:, c] == 1
        # A tile with two labels is not missed when the other one is named.
        missed = there & ~said & ~(has[np.arange(len(best)), best] == 1)
        hit = int((said & there).sum())
        precision, recall = hit / max(1, said.sum()), hit / max(1, hit + int(missed.sum()))
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        if there.any() or said.any():
            lines.append(f"| {name} | {there.sum()} | {precision:.2f} | {recall:.2f} | {f1:.2f} |")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A composed 3x3: the label, which tiles are right, what is answered (None: refused), how sure the
    likeliest set is, how sure the right one, and whether a threshold of one half has it exactly."""

    label: int
    wanted: tuple[int, ...]
    got: tuple[int, ...] | None
    said: float
    sure: float
    half: bool


def challenges(
    positive: NDArray[np.uint8], weight: Floats, plain: Floats, both: Floats, calibrations: list[Calibration]
) -> Iterator[Challenge]:
    """3x3 challenges of these tiles, with the counts of `COUNTS`, decoded as the recognizer does."""
    rng = np.random.default_rng(3)
    has = {c: np.flatnonzero(positive[:, c] == 1) for c in range(OTHER)}
    asked = [c for c in has if len(has[c]) >= 10]
    none = {c: np.flatnonzero((positive[:, c] == 0) & (weight[:, c] > 0.9)) for c in asked}
    for _ in range(GRIDS):
        c = int(rng.choice(asked))
        count = int(rng.choice(10, p=np.array(COUNTS) / sum(COUNTS)))
        wanted = rng.random(9).argsort() < count
        picked = np.where(wanted, rng.choice(has[c], 9), rng.choice(none[c], 9))
        own, logits = columns(tuple(IDS), IDS[c]), plain[picked].copy()
        again = doubtful(evidence(logits, own, calibrations[c]))
        logits[again] = both[picked][again]
        found = evidence(logits, own, calibrations[c])
        truth = np.flatnonzero(wanted)
        chances = posterior(found, np.array(COUNTS))
        half = bool((((1 / (1 + np.exp(-found))) >= 0.5) == wanted).all())
        said, sure = float(chances.max()), float(chances[place_of(truth)])
        yield Challenge(c, tuple(truth.tolist()), decode_or_none(found, IDS[c]), said, sure, half)


def grids(each: list[Challenge]) -> str:
    exact = np.array([g.got == g.wanted for g in each])
    refused = np.array([g.got is None for g in each])
    said, label = np.array([g.said for g in each]), np.array([g.label for g in each])
    bins = np.minimum((said * 10).astype(int), 9)
    right = exact | np.array([g.got is None and g.said == g.sure for g in each])
    error = sum(abs((right - said)[bins == b].sum()) for b in range(10)) / len(each)
    labels = ", ".join(f"{FOLDERS[c]} {exact[label == c].mean():.0%}" for c in np.unique(label))
    return (
        f"3x3: exact {exact.mean():.3f}, refused {refused.mean():.3f}, "
        f"wrong {(~exact & ~refused).mean():.3f}, plain half {np.mean([g.half for g in each]):.3f}; "
        f"said {said.mean():.3f}, right {right.mean():.3f}, calibration error {error:.3f}; "
        f"exact by label: {labels}"
    )


def decode_or_none(evidence: Floats, label: str, size: int = 300) -> tuple[int, ...] | None:
    from legible.errors import RecognitionFailed

    try:
        return decode(evidence, label, size).objects
    except RecognitionFailed:
        return None


def probabilities(
    features: Floats, label: NDArray[np.intp], calibrations: list[Calibration]
) -> NDArray[np.float64]:
    slopes = np.array([list(asdict(each).values()) for each in calibrations])[label]
    return 1 / (1 + np.exp(-(features * slopes[:, :2]).sum(1) - slopes[:, 2]))


def yes_or_no(p: NDArray[np.float64], right: NDArray[np.bool_], weight: Floats) -> float:
    """How often a single tile is answered rightly when its own label and other labels are asked alike."""
    w = weight / np.where(right, weight[right].sum(), weight[~right].sum()) / 2
    return float(w[(p >= 0.5) == right].sum())


def calibration_error(p: NDArray[np.float64], right: NDArray[np.bool_], weight: Floats) -> float:
    """Expected calibration error (Guo et al. 2017) of single tiles, both outcomes counted alike."""
    w = weight / np.where(right, weight[right].sum(), weight[~right].sum()) / 2
    bins = np.minimum((p * 10).astype(int), 9)
    return float(sum(abs(np.sum((p - right)[bins == b] * w[bins == b])) for b in range(10)))


def write(source: Path, name: str, calibrations: list[Calibration]) -> None:
    """Puts the file into the package, with one calibration a label."""
    facts = {label: asdict(each) for label, each in zip(IDS, calibrations, strict=True)}
    put(onnx.load(source), "grid", name, {"labels": json.dumps(IDS), "calibrations": json.dumps(facts)})


def quickest(
    net: nn.Module, folder: Path, some: list[Floats], score: Callable[[ort.InferenceSession], float]
) -> Path:
    """int8 where it costs at most WORTH points of `score`; what stays float has half precision on disk."""
    plain, part, half = (folder / f"tiles.{kind}.onnx" for kind in ("plain", "part", "half"))
    on_disk(net, TILE_PX, plain)
    to_int8(plain, part, some, leave=rough, bits=8)
    before, after = 100 * score(session(plain)), 100 * score(session(part))
    print(f"tiles: fp32 {before:.2f}, int8 {after:.2f} on tiles that calibrate", flush=True)
    to_half(part if before - after <= WORTH else plain, half)
    return half


def export_tiles(
    a: argparse.Namespace, tiles: Tiles, folder: Path, state: dict[str, dict[str, torch.Tensor]]
) -> None:
    net = TileNet(OTHER + 1)
    net.trunk.load_imagenet(a.teachers / "mobilenet_v2_1.0_float_dequant.pt")
    restore(net, state["tiles"])
    rng = np.random.default_rng(5)
    seen = np.flatnonzero(tiles.split == TRAIN)
    some = [tensor(view(tiles.pixels[i], rng)[None]) for i in rng.choice(seen, RANGES_FROM)]
    _, weight = targets(tiles, boxes(tiles, a.teachers, BUILD / "boxes.npz"))
    held = {s: np.flatnonzero((tiles.split == s) & tiles.real) for s in (VALIDATION, TEST)}
    x = {
        s: tensor(np.stack([view(tiles.pixels[i], rng, spoil=False) for i in rows]))
        for s, rows in held.items()
    }

    def score(model: ort.InferenceSession) -> float:
        return top1(run(model, x[VALIDATION]), tiles.positive[held[VALIDATION]], tiles.main[held[VALIDATION]])

    # Training leaves out many tiles with none of the labels, for they may well have one: the output for none
    # is raised until most of the tiles that calibrate are named as they were given. Labels seen by eye do
    # not choose here: the tiles looked at are those in which a network saw something.
    plain = folder / "tiles.none.onnx"
    on_disk(net, TILE_PX, plain)
    before = run(session(plain), x[VALIDATION])
    given = np.array([CLASS[name.split("/")[1]] for name in tiles.names])[held[VALIDATION]]
    own = np.eye(OTHER + 1, dtype=np.uint8)[given][:, :OTHER], given
    raised = max(NONE_RAISED, key=lambda more: top1(before + more * (np.arange(OTHER + 1) == OTHER), *own))
    net.head.bias.data[OTHER] += raised
    print(f"none of them raised by {raised}")

    path = quickest(net, folder, some, score)
    model = session(path)
    once = {s: run(model, x[s]) for s in held}
    both = {s: (once[s] + run(model, np.ascontiguousarray(x[s][..., ::-1]))) / 2 for s in held}
    rows = held[VALIDATION]
    calibrations = calibrated(tiles.positive[rows], weight[rows], once[VALIDATION], both[VALIDATION])
    rows = held[TEST]
    known = [("given", tiles.positive, tiles.main), ("looked at", *looked_at(tiles, weight)[:2])]
    for name, positive, main in known:
        shares = [top1(each[TEST], positive[rows], main[rows]) for each in (once, both)]
        print(f"top-1 on {len(rows)} real test tiles, labels {name}: {shares[0]:.4f}, twice {shares[1]:.4f}")
    tiles.positive, tiles.main, weight = looked_at(tiles, weight)
    features, right, weights, label = pairs(tiles.positive[rows], weight[rows], both[TEST])
    p = probabilities(features, label, calibrations)
    print(calibrations[0], f"calibration error on tests {calibration_error(p, right, weights):.3f}")
    print(f"asked for a label: {yes_or_no(p, right, weights):.4f} right")
    print(report_tiles(tiles, rows, both[TEST]))
    print(grids(list(challenges(tiles.positive[rows], weight[rows], once[TEST], both[TEST], calibrations))))
    print(f"nine tiles: {milliseconds(model, x[TEST][:9]):.1f} ms of CPU, {TWICE}: "
          f"{milliseconds(model, x[TEST][:TWICE]):.1f} ms")  # fmt: skip
    sheet(tiles, rows, both[TEST])
    if not a.dry:
        write(path, "grid", calibrations)


def sheet(tiles: Tiles, rows: NDArray[np.intp], logits: Floats) -> None:
    """The misses, in `build/`: the licence of the pictures is not ours to give."""
    best = first_label(logits)
    has = np.concatenate([tiles.positive[rows], (tiles.main[rows] == OTHER)[:, None]], 1)
    cells = []
    for n in np.flatnonzero(has[np.arange(len(best)), best] == 0)[:120]:
        cell = tiles.pixels[rows[n]].copy()
        names = [*FOLDERS, "none"]
        for text, y in ((names[tiles.main[rows[n]]], 10), (names[best[n]], 116)):
            cv2.putText(cell, text, (2, y), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 0), 1, cv2.LINE_AA)
        cells.append(cell)
    cells += [np.zeros_like(tiles.pixels[0])] * (-len(cells) % 12)
    picture = np.vstack([np.hstack(cells[i : i + 12]) for i in range(0, len(cells), 12)])
    cv2.imwrite(str(BUILD / "misses.png"), picture[:, :, ::-1])


def fitted(scenes: list[tuple[Marked, Floats]]) -> Calibration:
    """The calibration of the cells of these scenes, those that may or may not count left out."""
    features, right = [], []
    for scene, row in scenes:
        counted = (scene.must | ~scene.may).ravel()
        features.append(np.stack([row, scene_margins(row)], -1)[counted])
        right.append(scene.must.ravel()[counted])
    everything = np.concatenate(features)
    one = np.zeros(len(everything), np.intp)
    return sharper(logistic(everything, np.concatenate(right), np.ones(len(everything), np.float32), one), 1)[
        0
    ]


def export_scenes(
    a: argparse.Namespace, tiles: Tiles, folder: Path, state: dict[str, dict[str, torch.Tensor]]
) -> None:
    """In half precision: it is quick enough, and int8 has not been tried."""
    net = SceneNet(OTHER)
    net.load_detector(a.teachers / "nanodet-plus-m_416.onnx", DETECTED, LIKE)
    given = {name: value.clone() for name, value in net.detector.state_dict().items()}
    restore(net, state["scenes"])
    # Part of the way back to where the detector began: it saw sharp pictures, we have blurred ones (Wortsman
    # et al. 2022).
    for name, value in net.detector.state_dict().items():
        value.lerp_(given[name], BACK)
    plain, path = folder / "scene.plain.onnx", folder / "scene.onnx"
    on_disk(net, SCENE_PX, plain)
    to_half(plain, path)
    model = session(path)
    scenes = {s: [each for each in marked(tiles) if each.split == s] for s in (VALIDATION, TEST)}
    logits = {
        s: np.stack([run(model, scene_tensor(scene.rgb))[0, scene.label].ravel() for scene in each])
        for s, each in scenes.items()
    }
    # What has boxes is seen sharply, and what has only the map is not: two calibrations.
    boxed = set(DETECTED) | set(LIKE)
    kinds = [
        fitted(
            [(scene, row) for scene, row in zip(scenes[VALIDATION], logits[VALIDATION], strict=True)
             if (scene.label in boxed) == kind]
        )
        for kind in (False, True)
    ]  # fmt: skip
    calibrations = [kinds[label in boxed] for label in range(OTHER)]
    exact, near, refused = [], [], []
    for scene, row in zip(scenes[TEST], logits[TEST], strict=True):
        evidence = calibrations[scene.label](row, scene_margins(row))
        cells = decode_or_none(evidence, IDS[scene.label], 450)
        refused.append(cells is None)
        got = np.isin(np.arange(16), cells or ())
        counting = got & ~(scene.may & ~scene.must)
        exact.append((counting == scene.must).all())
        near.append((counting & scene.must).sum() >= 0.75 * (counting | scene.must).sum())
    print(*kinds, f"{len(exact)} marked test scenes: exact {np.mean(exact):.3f}, within Jaccard .75 "
          f"{np.mean(near):.3f}, refused {np.mean(refused):.3f}")  # fmt: skip
    print(f"one scene: {milliseconds(model, scene_tensor(scenes[TEST][0].rgb)):.1f} ms of CPU")
    if not a.dry:
        write(path, "grid_scene", calibrations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tiles", type=Path)
    parser.add_argument("teachers", type=Path)
    parser.add_argument("--only", choices=("tiles", "scenes"))
    parser.add_argument("--dry", action="store_true", help="measure only, leave the package as it is")
    a = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    state = torch.load(CHECKPOINT, map_location="cpu")
    tiles = load(a.tiles, BUILD / "tiles.npz")
    with tempfile.TemporaryDirectory() as folder:
        if a.only != "scenes":
            export_tiles(a, tiles, Path(folder), state)
        if a.only != "tiles":
            export_scenes(a, tiles, Path(folder), state)


if __name__ == "__main__":
    main()
