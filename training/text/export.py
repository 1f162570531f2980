"""Folds the trained network, quantizes it to int8, calibrates its confidence and writes it into the package:
`python training/text/export.py --measure FOLDER`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "src"), str(ROOT)]

from data import Sample  # noqa: E402
from measure import CHARSET, Measured, families, is_sum, own_samples, own_set  # noqa: E402
from model import TextNet  # noqa: E402
from training.onnx_files import to_int8, to_onnx  # noqa: E402
from training.package import put  # noqa: E402

from legible.amx import ZERO_POINT  # noqa: E402
from legible.calibration import THRESHOLD, Calibration  # noqa: E402
from legible.images import Picture  # noqa: E402
from legible.model_store import session  # noqa: E402
from legible.recognizers.arithmetic.decode import CHARS  # noqa: E402
from legible.recognizers.arithmetic.decode import candidates as sum_candidates  # noqa: E402
from legible.recognizers.arithmetic.decode import likeliest as likeliest_sum  # noqa: E402
from legible.recognizers.arithmetic.expression import NotASum, parse  # noqa: E402
from legible.recognizers.text.decode import (  # noqa: E402
    ALPHANUMERIC,
    Reading,
    candidates,
    likeliest,
    restrict,
)
from legible.recognizers.text.looks import HOPELESS, SATISFIED  # noqa: E402
from legible.recognizers.text.preprocess import (  # noqa: E402
    HEIGHT,
    STEPS,
    WIDTHS,
    ZERO,
    further_views,
    preprocess,
    to_cells,
)

CALIBRATION_IMAGES = 1000  # to find the range of each activation
CALIBRATION_SIZE = 12000  # fresh pictures on which confidence is calibrated
SUM_LEVEL = 0.7  # how hard the sums are that confidence is calibrated on: those of sites are easier than ours
FEWEST = 200  # pictures that are worth a calibration of their own
PRECISION = 0.97  # share of the answered that must be right at the shipped threshold


def to_cells_in_int8(source: Path, target: Path, tensors: list[NDArray[np.float32]]) -> None:
    pixels = {"scale": np.array(1 / STEPS, np.float32), "zero_point": np.array(ZERO, np.uint8)}
    # 7 bits cost half a point along the row, where half of the weights are for a fifth of the time.
    row = {name: [{"axis": 0, "reduce_range": False}] for name in _along_the_row(onnx.load(source))}
    # In steps of 8 bits, logits of characters that look alike are equal; the head costs nothing.
    to_int8(
        source, target, (tensor[None] for tensor in tensors), leave=lambda _: ["/head/Conv"], follow=0.01,
        overrides=row | {"pixels": [pixels]},
    )  # fmt: skip
    model = onnx.load(target)
    on_cells(model)
    zero_points_in_bytes(model)
    onnx.save(model, target)


def zero_points_in_bytes(model: onnx.ModelProto) -> None:
    """Those of the weights, one byte each, so that the package can write others over them (`amx.py`)."""
    for each in model.graph.initializer:
        if each.name.endswith(ZERO_POINT):
            each.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(each), each.name))


def _along_the_row(model: onnx.ModelProto) -> list[str]:
    """The kernels that make one row of the four, and those that follow."""
    shapes = {each.name: tuple(each.dims) for each in model.graph.initializer}
    kernels = [node.input[1] for node in model.graph.node if node.op_type == "Conv"]
    return [name for name in kernels if shapes[name][2:] in ((4, 3), (1, 3))]


def on_cells(model: onnx.ModelProto) -> None:
    """Makes the input what the package's `preprocess` gives: levels in cells of 2x2 pixels. The first
    convolution, 3x3 with stride 2, is then one of 2x2 cells: the same numbers in half the time."""
    graph = model.graph
    quantize = next(node for node in graph.node if node.input[0] == "pixels")
    shape = ["n", HEIGHT // 2, "cells", 12]
    graph.input[0].CopyFrom(helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape))
    quantize.CopyFrom(helper.make_node("Transpose", ["pixels"], quantize.output, perm=[0, 3, 1, 2]))
    del graph.value_info[:]
    conv = next(node for node in graph.node if node.op_type == "Conv")
    values = next(node.input[0] for node in graph.node if conv.input[1] in node.output)
    kernel = next(each for each in graph.initializer if each.name == values)
    weights = numpy_helper.to_array(kernel)
    # (outputs, row and column in the cell, colours, row and column of the cell); a cell's first row is even.
    cells = np.zeros((len(weights), 2, 2, 3, 2, 2), weights.dtype)
    for y in range(3):
        for x in range(3):
            cells[:, (y + 1) % 2, (x + 1) % 2, :, (y + 1) // 2, (x + 1) // 2] = weights[:, :, y, x]
    kernel.CopyFrom(numpy_helper.from_array(cells.reshape(-1, 12, 2, 2), kernel.name))
    del conv.attribute[:]
    conv.attribute.extend(
        helper.make_attribute(name, value)
        for name, value in {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0], "strides": [1, 1]}.items()
    )
    onnx.checker.check_model(model)


def probabilities(
    run: ort.InferenceSession, seen: NDArray[np.float32] | NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Of (3, 64, W) pixels, or of the cells that the package's `preprocess` gives."""
    given = seen
    if seen.dtype != np.uint8:
        given = seen[None]
        if run.get_inputs()[0].type == "tensor(uint8)":
            levels = np.clip(np.rint(seen * STEPS + ZERO), 0, 255).astype(np.uint8)
            given = to_cells(np.ascontiguousarray(levels.transpose(1, 2, 0)))[None]
    logits = run.run(None, {"pixels": given})[0][0]
    probs = np.exp(logits - logits.max(1, keepdims=True))
    return probs / probs.sum(1, keepdims=True)  # type: ignore[no-any-return]


Results = list[tuple[str, str, float]]  # label, what was read, raw confidence
Table = dict[str, Any]  # of a calibration, as the metadata has it


@dataclass(slots=True)
class Looked:
    """A picture that is looked at again and again: its views to come, and what was read so far."""

    label: str
    views: Iterator[NDArray[np.uint8]]
    readings: list[Reading] = field(default_factory=list)
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """How the package reads one kind: the readings of a view, and the best of those of so many looks."""

    read: Callable[[NDArray[np.float32]], list[Reading]]
    choose: Callable[[list[Reading], int], tuple[str, float] | None]


def sum_of(readings: list[Reading], looks: int) -> tuple[str, float] | None:
    found = likeliest_sum(readings, looks)
    return None if found is None else (str(found[0].value), found[1])


TEXT = Kind(lambda probs: candidates(restrict(probs, CHARSET, ALPHANUMERIC), ALPHANUMERIC), likeliest)
SUM = Kind(lambda probs: sum_candidates(restrict(probs, CHARSET, CHARS)), sum_of)


def by_looks(
    run: ort.InferenceSession, kind: Kind, samples: list[tuple[str, Sample]], threshold: float | None
) -> list[Table]:
    """The calibration after each number of looks, on those labelled pictures that the package looks at so
    often."""
    tables: list[Table] = []
    pictures = [Picture(sample.rgb) for _, sample in samples]
    going = [
        Looked(label, iter((preprocess(picture),)))
        for (label, _), picture in zip(samples, pictures, strict=True)
    ]
    while True:
        seen = [(each, view) for each in going if (view := next(each.views, None)) is not None]
        if len(seen) < FEWEST:
            return tables
        results = []
        for each, view in seen:
            each.looks += 1
            each.readings += kind.read(probabilities(run, view))
            results.append((each.label, *(kind.choose(each.readings, each.looks) or ("", 0.0))))
        print(f"   after {len(tables) + 1} looks, of {len(results)}:")
        tables.append(calibrate(results, threshold))
        calibration = Calibration.from_table(tables[-1])
        confidences = [calibration(raw) for _, _, raw in results]
        if len(tables) == 1:
            for each, picture, confidence in zip(going, pictures, confidences, strict=True):
                each.views = further_views(picture, confidence < HOPELESS)
        going = [
            each for (each, _), confidence in zip(seen, confidences, strict=True) if confidence < SATISFIED
        ]  # fmt: skip


def with_answer(samples: list[Sample]) -> Iterator[tuple[str, Sample]]:
    """Those sums that have an answer, which is the label."""
    for sample in samples:
        with suppress(NotASum):
            yield str(parse(sample.label).value), sample


def score(run: ort.InferenceSession, measured: Measured) -> tuple[float, float]:
    """Mean over the families in percent at the first look: ignoring case, exact."""
    per_family = [
        [(label, *(TEXT.choose(TEXT.read(probabilities(run, x)), 1) or ("", 0.0))) for x, label in rows]
        for rows in measured.values()
    ]
    nocase = np.mean([np.mean([a.lower() == b.lower() for a, b, _ in rows]) for rows in per_family])
    exact = np.mean([np.mean([a == b for a, b, _ in rows]) for rows in per_family])
    return round(100 * float(nocase), 2), round(100 * float(exact), 2)


def calibrate(results: Results, threshold: float | None) -> Table:
    """A monotone map from raw confidence to the share that is right (pool adjacent violators), and the
    threshold."""
    raw = np.array([r for _, _, r in results])
    right = np.array([a.lower() == b.lower() for a, b, _ in results], float)
    order = np.argsort(raw)
    raw, right = raw[order], right[order]
    # Equal counts a bin, then neighbours that go the wrong way are pooled.
    blocks = [
        [float(raw[i].mean()), float(right[i].mean()), len(i)]
        for i in np.array_split(np.arange(len(raw)), min(60, len(raw) // 30))
    ]
    pooled: list[list[float]] = []
    for block in blocks:
        pooled.append(block)
        while len(pooled) > 1 and pooled[-2][1] >= pooled[-1][1]:
            (x1, y1, n1), (x2, y2, n2) = pooled[-2:]
            pooled[-2:] = [[(x1 * n1 + x2 * n2) / (n1 + n2), (y1 * n1 + y2 * n2) / (n1 + n2), n1 + n2]]
    x = [0.0, *(round(p[0], 5) for p in pooled), 1.0]
    y = [0.0, *(round(p[1], 5) for p in pooled), round(max(p[1] for p in pooled), 5)]
    # The lowest confidence from which on enough of the answered are right.
    share = np.cumsum(right[::-1])[::-1] / np.arange(len(right), 0, -1)
    good = np.flatnonzero(share >= PRECISION)
    cut = float(raw[good[0]]) if len(good) else 1.0
    answered, reached = float((raw >= cut).mean()), float(share[good[0]]) if len(good) else 0.0
    print(f"   threshold {np.interp(cut, x, y):.3f} answers {answered:.1%} at {reached:.1%} right")
    sure = round(float(np.interp(cut, x, y)), 3)
    return {"raw": x, "right": y, "threshold": sure if threshold is None else threshold, "threshold_97": sure}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=HERE / "checkpoint.pt")
    parser.add_argument(
        "--measure", type=Path, help="a folder of text families, to compare fp32 with int8 on"
    )
    parser.add_argument("--size", type=int, default=CALIBRATION_SIZE)
    parser.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        help="under this the package refuses; 0.97 takes the one of PRECISION",
    )
    parser.add_argument("--quick", action="store_true", help="leave out the comparison of fp32 and int8")
    parser.add_argument("--dry", action="store_true", help="measure only, leave the package as it is")
    a = parser.parse_args()
    threshold = None if a.threshold == PRECISION else a.threshold
    content = torch.load(a.checkpoint, map_location="cpu")
    net = TextNet(len(CHARSET) + 1).eval()
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in content["ema"].items()})
    fresh = own_samples(a.size, seed=13579)
    texts = [(sample.label, sample) for sample in fresh if not is_sum(sample.label)]
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        to_onnx(net.folded(), torch.zeros(1, 3, HEIGHT, WIDTHS[0]), plain, {0: "n", 3: "width"})
        to_cells_in_int8(
            plain, small, [tensor for tensor, _ in own_set(CALIBRATION_IMAGES, seed=24680)["own"]]
        )
        before, after = session(plain), session(small)
        measured = families(a.measure) if a.measure else own_set()
        if not a.quick:
            print("fp32 (ignoring case, exact):", score(before, measured))
            print("int8 (ignoring case, exact):", score(after, measured))
        model = onnx.load(small)
        facts = {
            "charset": CHARSET,
            "height": str(HEIGHT),
            "widths": json.dumps(WIDTHS),
            "seen": str(content["seen"]),
        }
        usual = own_samples(a.size, seed=97531, level=SUM_LEVEL)
        sums = list(with_answer([sample for sample in usual if is_sum(sample.label)]))
        for name, kind, samples in (("text", TEXT, texts), ("arithmetic", SUM, sums)):
            print(f"{name} on fresh pictures:")
            facts[f"calibrations_{name}"] = json.dumps(by_looks(after, kind, samples, threshold))
        if not a.dry:
            put(model, "text", "text", facts)


if __name__ == "__main__":
    main()
