"""Quantizes the large network to int8, calibrates the confidence of both, and writes them into the package.

python -m training.slider.export FOLDER
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn
from training.onnx_files import ends, to_int8, to_onnx
from training.package import put
from training.slider import data, rank, train
from training.slider.model import SliderNet
from training.slider.refine import kept

from legible.calibration import THRESHOLD, Calibration
from legible.errors import RecognitionFailed
from legible.model_store import session
from legible.recognizers.slider.decode import Found, decode, found
from legible.recognizers.slider.preprocess import CLOSE, WIDTH, Canvas
from legible.recognizers.slider.preprocess import tensor as as_tensor
from legible.recognizers.slider.refine import refined

# Pictures that give the range of each activation.
RANGE_PICTURES = 160
# Held-out scenes on which fp32 is compared with int8, and on which confidence is calibrated.
COMPARED, CALIBRATED = 300, 2048
# A left edge this near is right, in pixels of a picture of the network's width.
NEAR = 5 * WIDTH / 310
BINS = 40

console = Console()
Result = tuple[float, bool]
Sharpen = Callable[[Found, Canvas], Found]


def finder() -> SliderNet:
    """The network in the repository, folded."""
    state = torch.load(train.KEPT, weights_only=True)
    net = SliderNet()
    if state["folded"]:
        net = net.folded()
    net.load_state_dict(state["average"])
    net.eval()
    return net if state["folded"] else net.folded()


def ranker(folder: Path) -> nn.Module:
    state = torch.load(folder / "ranker.pt", weights_only=True)["ranker"]
    net = rank.Ranker(state["mean"], state["scale"])
    net.load_state_dict(state)
    return net.eval()


def pictures(folder: Path, held_out: bool) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """(H, W, 3) pixels and (5, 4) boxes of every rendered scene."""
    part = folder / ("held_out" if held_out else "shards")
    for shard in sorted(p for p in part.glob("*.npz") if ".part" not in p.name):
        with np.load(shard) as arrays:
            for name in (n for n in arrays.files if n.startswith("pixels_")):
                yield from zip(arrays[name], arrays[name.replace("pixels", "boxes")], strict=True)


def read(run: ort.InferenceSession, folder: Path, edges: Sharpen, limit: int) -> dict[str, list[Result]]:
    """Raw probability and rightness of the first place on held-out scenes, by form; a gap that is not there
    is wrong."""
    results: dict[str, list[Result]] = {"bare": [], "decoys": [], "screenshot": [], "empty": []}
    for pixels, boxes in islice(pictures(folder, held_out=True), limit):
        canvas = Canvas(pixels, as_tensor(pixels[None]), (1.0, 1.0))
        gap, piece, decoy = boxes[:3]
        form = "empty" if not gap[2] else "screenshot" if piece[2] else "decoys" if decoy[2] else "bare"
        seen = edges(found(run.run(None, {"pixels": canvas.tensor})[0][0], canvas), canvas)
        try:
            answer = decode(seen, canvas, Calibration())
            results[form].append((answer.confidence, bool(gap[2]) and abs(answer.box[0] - gap[0]) <= NEAR))
        except RecognitionFailed:
            results[form].append((0.0, False))
    return results


class Session:
    """What `refined` needs of a model, before it is in the package."""

    def __init__(self, path: Path) -> None:
        self.session = session(path)

    def run(self, tensor: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        return list(self.session.run(None, {"views": tensor}))


def calibrated(results: list[Result]) -> dict[str, object]:
    """The share that is right for each raw confidence, made to rise only (pool adjacent violators)."""
    ordered = np.array(sorted(results))
    blocks = [[float(b[:, 0].mean()), float(b[:, 1].mean()), len(b)] for b in np.array_split(ordered, BINS)]
    pooled: list[list[float]] = []
    for block in blocks:
        pooled.append(block)
        while len(pooled) > 1 and pooled[-2][1] >= pooled[-1][1]:
            (x1, y1, n1), (x2, y2, n2) = pooled[-2:]
            pooled[-2:] = [[(x1 * n1 + x2 * n2) / (n1 + n2), (y1 * n1 + y2 * n2) / (n1 + n2), n1 + n2]]
    raw = [0.0, *(round(b[0], 4) for b in pooled), 1.0]
    right = [0.0, *(round(b[1], 4) for b in pooled), round(pooled[-1][1], 4)]
    return {"raw": raw, "right": right, "threshold": THRESHOLD}


def report(name: str, results: dict[str, list[Result]], calibration: Calibration | None = None) -> None:
    shares = "  ".join(
        f"{form} {np.mean([r for _, r in rows]):.1%} of {len(rows)}" for form, rows in results.items() if rows
    )
    console.print(f"{name}, first place right: {shares}")
    if calibration:
        rows = [row for form in results.values() for row in form]
        answered = [right for raw, right in rows if calibration(raw) >= calibration.threshold]
        console.print(
            f"   answered over {calibration.threshold}: {len(answered) / len(rows):.1%}, "
            f"of which right {np.mean(answered):.1%}"
        )


def ranked(net: nn.Module, folder: Path) -> list[Result]:
    """Of the held-out scenes with a piece: raw probability and rightness of the first place."""
    parts = [np.load(p) for p in sorted((folder / "ranker").glob(f"{data.HELD_OUT_SEED // 100_000}*.npz"))]
    features = torch.from_numpy(np.concatenate([p["features"] for p in parts]))
    rows = np.concatenate([p["rows"] for p in parts])
    with torch.no_grad():
        probability = rank.logits(net, features).softmax(1)[:, :-1].max(1)  # type: ignore[arg-type]
    found = zip(probability.values.tolist(), probability.indices.tolist(), rows, strict=True)
    return [(share, bool(index == row)) for share, index, row in found]


def export_finder(folder: Path, temporary: Path, dry: bool) -> None:
    plain, small, edges = temporary / "plain.onnx", temporary / "int8.onnx", temporary / "edges.onnx"
    to_onnx(kept(), torch.zeros(2, 3, CLOSE, CLOSE), edges, {0: "n"}, ("views", "edges"))
    axes = {0: "n", 2: "height", 3: "width"}
    to_onnx(finder(), torch.zeros(1, 3, 128, WIDTH), plain, axes)
    some = islice(pictures(folder, held_out=False), RANGE_PICTURES)
    to_int8(plain, small, (as_tensor(pixels[None]) for pixels, _ in some), ends, 0.02)
    network = Session(edges)

    def sharpen(seen: Found, canvas: Canvas) -> Found:
        return refined(seen, canvas, network)

    for name, file in (("fp32", plain), ("int8", small)):
        report(name, read(session(file), folder, sharpen, COMPARED))
    results = read(session(small), folder, sharpen, CALIBRATED)
    table = calibrated([row for form in results.values() for row in form])
    report("int8", results, Calibration(tuple(table["raw"]), tuple(table["right"]), THRESHOLD))  # type: ignore[arg-type]
    if not dry:
        put(onnx.load(small), "slider", "slider", {"calibration": json.dumps(table)})
        put(onnx.load(edges), "slider", "slider_edges", {})


def export_ranker(folder: Path, temporary: Path, dry: bool) -> None:
    net = ranker(folder)
    plain = temporary / "ranker.onnx"
    to_onnx(net, torch.zeros(2, len(net.mean)), plain, {0: "n"}, ("features", "scores"))  # type: ignore[arg-type]
    places = ranked(net, folder)
    table = calibrated(places)
    calibration = Calibration(tuple(table["raw"]), tuple(table["right"]), THRESHOLD)  # type: ignore[arg-type]
    report("ranker", {"two images": places}, calibration)
    if not dry:
        put(onnx.load(plain), "slider", "slider_piece", {"calibration": json.dumps(table)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="where training/slider/{train,refine,rank}.py kept their files"
    )
    parser.add_argument("--only", choices=["finder", "ranker"])
    parser.add_argument("--dry", action="store_true", help="measure only, leave the package as it is")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        if arguments.only != "ranker":
            export_finder(arguments.folder, Path(temporary), arguments.dry)
        if arguments.only != "finder":
            export_ranker(arguments.folder, Path(temporary), arguments.dry)


if __name__ == "__main__":
    main()
