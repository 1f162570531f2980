"""Fits what stays of an object that is turned in space, on drawn scenes, and puts it into the package.

python -m training.click.looks [--seed 301]

A linear discriminant analysis (Fisher 1936): of what `numbers` says of an object, the directions in which
the things of a scene and the scenes differ most, measured by how much views of one thing differ.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from training.click.data import Scene, scene
from training.package import put

from legible.images import Picture
from legible.recognizers.click.looks import MODEL, numbers
from legible.recognizers.click.model import lab_of, polar
from legible.recognizers.click.preprocess import preprocess
from legible.recognizers.click.things import find_things

Floats = NDArray[np.float64]

# Scenes of each level: those that only solids teach are most.
COUNTS = {5: 350, 2: 120, 3: 120, 1: 50, 4: 60}
# Directions that are kept, and how much of the mean variance is added to all: many numbers, few scenes.
DIRECTIONS, RIDGE = 8, 0.03
FEWEST = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """(n, 413) of the objects of a scene that are all one thing; (413,) of the odd one, if it was found."""

    common: Floats
    odd: Floats | None


def seen_in(drawn: Scene) -> Seen | None:
    """What was found where objects are; None for a scene in which too little was."""
    canvas = preprocess(Picture(drawn.rgb))
    things = find_things(canvas.rgb)
    if len(things.places) < FEWEST:
        return None
    lab = lab_of(canvas.rgb)
    found = numbers(lab, things.mask, things.places, polar(lab, things)[0]).astype(np.float64)
    spots = canvas.in_picture(things.places)[:, :2]
    on = [np.hypot(spots[:, 0] - p.x, spots[:, 1] - p.y) <= p.radius for p in drawn.places]
    wanted = [p.wanted for p in drawn.places]
    odd = on[wanted.index(True)]
    common = found[np.any(on, axis=0) & ~odd]
    return Seen(common, found[odd.argmax()] if odd.any() else None) if len(common) > 2 else None


def scenes(seed: int) -> Iterator[Seen]:
    for level, count in COUNTS.items():
        rng = np.random.default_rng((seed, level, 0))
        for _ in range(count):
            seen = seen_in(scene(rng, level))
            if seen is not None:
                yield seen


def fitted(rows: list[Seen]) -> NDArray[np.float32]:
    """(413, DIRECTIONS): two views of one thing differ by 1 in length, on average, once it is applied."""
    spread = [row.common - row.common.mean(0) for row in rows]
    within = sum(each.T @ each for each in spread) / sum(len(each) - 1 for each in spread)
    within += RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    means = np.array([row.common.mean(0) for row in rows])
    apart = np.array([row.odd - row.common.mean(0) for row in rows if row.odd is not None])
    between = np.cov(means.T) + apart.T @ apart / len(apart)
    values, vectors = np.linalg.eigh(within)
    white = vectors / np.sqrt(values)
    best = np.linalg.eigh(white.T @ between @ white)[1][:, ::-1][:, :DIRECTIONS]
    return np.asarray(white @ best / np.sqrt(2 * DIRECTIONS), np.float32)


def model_of(matrix: NDArray[np.float32]) -> onnx.ModelProto:
    """(n, 413) -> (n, DIRECTIONS)."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["numbers", "matrix"], ["looks"])], MODEL,
        [helper.make_tensor_value_info("numbers", kind, ["n", matrix.shape[0]])],
        [helper.make_tensor_value_info("looks", kind, ["n", matrix.shape[1]])],
        [onnx.numpy_helper.from_array(matrix, "matrix")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=301)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rows = list(scenes(arguments.seed))
    print(f"{len(rows)} scenes, {sum(len(row.common) for row in rows)} views of one thing in each")
    put(model_of(fitted(rows)), "click", MODEL, {})


if __name__ == "__main__":
    main()
