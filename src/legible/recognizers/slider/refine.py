"""A second, closer look at each place: where exactly are its edges?"""

from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from legible.recognizers.slider.decode import Box, Found, Place
from legible.recognizers.slider.preprocess import Canvas, close, tensor

LOOKS: Final = 2
# A second look that lands further from the first than this share of its sides has gone astray.
ASTRAY: Final = 0.4


class Closer(Protocol):
    """(N, 3, 64, 64) views in -1..1 -> (N, 4) left, top, right, bottom as shares of the view."""

    def run(self, tensor: NDArray[np.generic]) -> list[NDArray[np.float32]]: ...


def refined(seen: Found, canvas: Canvas, network: Closer) -> Found:
    """The same places with sharper boxes."""
    places = [*seen.places] + ([seen.piece] if seen.piece else [])
    boxes = [place.box for place in places]
    for _ in range(LOOKS if places else 0):
        boxes = _looked_at(boxes, canvas, network)
    better = [_kept(place, box) for place, box in zip(places, boxes, strict=True)]
    return Found(tuple(better[: len(seen.places)]), better[-1] if seen.piece else None)


def _looked_at(boxes: list[Box], canvas: Canvas, network: Closer) -> list[Box]:
    views = [close(canvas.pixels, box) for box in boxes]
    edges = network.run(tensor(np.stack([view for view, _ in views])))[0]
    better = []
    for (left, top, right, bottom), (_, (x, y, across, down)) in zip(edges.tolist(), views, strict=True):
        better.append((x + left * across, y + top * down, (right - left) * across, (bottom - top) * down))
    return better


def _kept(place: Place, box: Box) -> Place:
    x, y, width, height = place.box
    across = max(abs(box[0] - x), abs(box[0] + box[2] - x - width))
    down = max(abs(box[1] - y), abs(box[1] + box[3] - y - height))
    astray = across > ASTRAY * width or down > ASTRAY * height
    return place if astray else replace(place, box=box)
