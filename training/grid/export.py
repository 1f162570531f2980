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
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "src"), str(ROOT)]

from data import FOLDERS, IDS, OTHER, TEST, TRAIN, VALIDATION, Tiles, boxes, load, looked_at, targets, view  # noqa: E402
from model import TileNet  # noqa: E402
from scene_model import SceneNet  # noqa: E402
from scenes import Marked, marked  # noqa: E402
from train import BUILD, CHECKPOINT, DETECTED, LIKE, first_label, restore, top1  # noqa: E402
from training.package import put  # noqa: E402

from legible.recognizers.grid.decode import COUNTS, decode  # noqa: E402
from legible.recognizers.grid.model import Calibration, columns, margins, scene_margins  # noqa: E402
from legible.recognizers.grid.preprocess import SCENE_PX, TILE_PX, scene_tensor, tensor  # noqa: E402

RANGES_FROM = 100  # pictures by which the range of each activation is found
WORTH = 0.5  # points of accuracy that int8 may cost: a tile that calibrates is 0.1
GRIDS = 2000
NONE_RAISED = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
BACK = 0.15  # of 0, 0.15, 0.3 and 0.5, on the marked scenes that calibrate; 0 was as good there

Floats = NDArray[np.float32]


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, tensors: Iterator[Floats]) -> None:
        self.tensors = tensors

    def get_next(self) -> dict[str, Floats] | None:
        tensor = next(self.tensors, None)
        return None if tensor is None else {"pixels": tensor}


def to_onnx(net: nn.Module, side: int, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (torch.zeros(2, 3, side, side),), path, input_names=["pixels"],
            output_names=["logits"],
            dynamic_axes={"pixels": {0: "n"}, "logits": {0: "n"}}, opset_version=17, dynamo=False,
        )  # fmt: skip


def to_int8(source: Path, target: Path, tensors: Iterator[Floats]) -> None:
    """All blocks but the first two, whose few channels differ so much that int8 loses them, and not the head.

    Ranges are whole: cutting outliers off costs more than finer steps give.
    """
    prepared = source.with_suffix(".prepared.onnx")
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    nodes = onnx.load(prepared).graph.node
    inside = re.compile(r"/blocks\.(?!(0|1)/)")
    quantize_static(
        prepared, target, Reader(tensors), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        nodes_to_exclude=[node.name for node in nodes if not inside.search(node.name)],
        calibrate_method=CalibrationMethod.MinMax,
    )  # fmt: skip


def to_half(source: Path, target: Path) -> None:
    """Weights in half precision on disk, cast up when the session opens: half the size, the same numbers to
    three digits."""
    model = onnx.load(source)
    casts = []
    for each in model.graph.initializer:
        if each.data_type == onnx.TensorProto.FLOAT and len(each.dims) > 1:
            name = each.name
            small = onnx.numpy_helper.from_array(
                onnx.numpy_helper.to_array(each).astype(np.float16), name + "_half"
            )
            each.CopyFrom(small)
            casts.append(onnx.helper.make_node("Cast", [name + "_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, target)


def session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


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


def logistic(features: Floats, right: NDArray[np.bool_], weight: Floats) -> Calibration:
    """The weights (slope >= 0) with the least log loss, both outcomes counted alike, by Newton's method."""
    x = np.column_stack([features, np.ones(len(features))]).astype(np.float64)
    w = weight / np.where(right, weight[right].sum(), weight[~right].sum())
    theta = np.array([0.5, 0.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ theta, -30, 30)))
        gradient = x.T @ (w * (p - right)) + 1e-4 * theta
        theta = theta - np.linalg.solve((x * (w * p * (1 - p))[:, None]).T @ x + 1e-4 * np.eye(3), gradient)
    return Calibration(*(round(float(v), 4) for v in theta))


def pairs(
    tiles: Tiles, weight: Floats, rows: NDArray[np.intp], logits: Floats
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Every (tile, label) of these rows whose answer is known: its two features, the answer, and its
    weight."""
    features, right, weights = [], [], []
    for c in range(OTHER):
        known = weight[rows, c] > 0.9
        has = tiles.positive[rows, c] == 1
        if not has.any():
            continue
        own = columns(tuple(IDS), IDS[c])
        features.append(np.column_stack([logits[:, own].max(1), margins(logits, own)])[known])
        right.append(has[known])
        # Every label counts alike: as many of it as of all the others.
        weights.append(
            np.where(has, 1.0 / has.sum(), 1.0 / max(1, (known & ~has).sum()))[known] * np.sqrt(has.sum())
        )
    return np.concatenate(features), np.concatenate(right), np.concatenate(weights).astype(np.float32)


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


def grids(
    tiles: Tiles, weight: Floats, rows: NDArray[np.intp], logits: Floats, calibration: Calibration, seed: int
) -> dict[str, float]:
    """3x3 challenges of real tiles that were never seen, with the counts of `COUNTS`: exact, refused, and how
    sure."""
    rng = np.random.default_rng(seed)
    outcome = {"exact": 0, "plain half": 0, "refused": 0, "wrong": 0}
    has = {c: np.flatnonzero(tiles.positive[rows, c] == 1) for c in range(OTHER)}
    asked = [c for c in has if len(has[c]) >= 10]
    for _ in range(GRIDS):
        c = int(rng.choice(asked))
        none = np.flatnonzero((tiles.positive[rows, c] == 0) & (weight[rows, c] > 0.9))
        count = int(rng.choice(10, p=np.array(COUNTS) / sum(COUNTS)))
        wanted = rng.random(9).argsort() < count
        picked = np.where(wanted, rng.choice(has[c], 9), rng.choice(none, 9))
        own = columns(tuple(IDS), IDS[c])
        evidence = calibration(logits[picked][:, own].max(1), margins(logits[picked], own))
        answer = decode(evidence, IDS[c], 300, top=9)
        likeliest = decode_or_none(evidence, IDS[c])
        truth = set(np.flatnonzero(wanted))
        outcome["plain half"] += {i for i, p in enumerate(1 / (1 + np.exp(-evidence))) if p >= 0.5} == truth
        assert len(answer.objects) == 9
        kind = "refused" if likeliest is None else "exact" if set(likeliest) == truth else "wrong"
        outcome[kind] += 1
    return {key: value / GRIDS for key, value in outcome.items()}


def decode_or_none(evidence: Floats, label: str, size: int = 300) -> tuple[int, ...] | None:
    from legible.errors import RecognitionFailed

    try:
        return decode(evidence, label, size).objects
    except RecognitionFailed:
        return None


def yes_or_no(features: Floats, right: NDArray[np.bool_], weight: Floats, calibration: Calibration) -> float:
    """How often a single tile is answered rightly when its own label and other labels are asked alike."""
    w = weight / np.where(right, weight[right].sum(), weight[~right].sum()) / 2
    said = calibration(features[:, 0], features[:, 1]) >= 0
    return float(w[said == right].sum())


def calibration_error(
    features: Floats, right: NDArray[np.bool_], weight: Floats, calibration: Calibration
) -> float:
    """Expected calibration error (Guo et al. 2017) of single tiles, both outcomes counted alike."""
    w = weight / np.where(right, weight[right].sum(), weight[~right].sum()) / 2
    p = 1 / (1 + np.exp(-calibration(features[:, 0], features[:, 1])))
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
    to_onnx(net, TILE_PX, plain)
    to_int8(plain, part, iter(some))
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

    positive, main, seen_by_eye = looked_at(tiles)

    def score(model: ort.InferenceSession) -> float:
        return top1(run(model, x[VALIDATION]), tiles.positive[held[VALIDATION]], tiles.main[held[VALIDATION]])

    # Training leaves out many tiles with none of the labels, for they may well have one: the output for none
    # is raised until most of the tiles that calibrate are named right.
    plain = folder / "tiles.none.onnx"
    to_onnx(net, TILE_PX, plain)
    before = run(session(plain), x[VALIDATION])
    own = tiles.positive[held[VALIDATION]], tiles.main[held[VALIDATION]]
    raised = max(NONE_RAISED, key=lambda more: top1(before + more * (np.arange(OTHER + 1) == OTHER), *own))
    net.head.bias.data[OTHER] += raised
    print(f"none of them raised by {raised}")

    path = quickest(net, folder, some, score)
    model = session(path)
    logits = {s: run(model, x[s]) for s in held}
    calibration = logistic(*pairs(tiles, weight, held[VALIDATION], logits[VALIDATION]))
    given = top1(logits[TEST], tiles.positive[held[TEST]], tiles.main[held[TEST]])
    print(f"top-1 on {len(held[TEST])} real test tiles: {given:.4f} with the labels that were given")
    tiles.positive, tiles.main = positive, main
    weight = np.where((positive == 1) | seen_by_eye[:, None], 1.0, weight).astype(np.float32)
    share = top1(logits[TEST], positive[held[TEST]], main[held[TEST]])
    print(f"top-1 with the labels that were looked at: {share:.4f}")
    error = calibration_error(*pairs(tiles, weight, held[TEST], logits[TEST]), calibration)
    print(calibration, f"calibration error on tests {error:.3f}")
    share = yes_or_no(*pairs(tiles, weight, held[TEST], logits[TEST]), calibration)
    print(f"asked for a label: {share:.4f} right")
    print(report_tiles(tiles, held[TEST], logits[TEST]))
    print("3x3 of test tiles:", grids(tiles, weight, held[TEST], logits[TEST], calibration, 3))
    print(f"nine tiles: {milliseconds(model, x[TEST][:9]):.1f} ms of CPU")
    sheet(tiles, held[TEST], logits[TEST])
    if not a.dry:
        write(path, "grid", [calibration] * OTHER)


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
    return logistic(everything, np.concatenate(right), np.ones(len(everything), np.float32))


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
    to_onnx(net, SCENE_PX, plain)
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
