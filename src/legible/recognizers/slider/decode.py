"""From maps or ranked places to the answer: the gap's box, ranked candidates, and a refusal where nothing
is sure enough."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legible.calibration import Calibration
from legible.errors import RecognitionFailed
from legible.recognizers.slider.match import Match
from legible.recognizers.slider.preprocess import Canvas, Piece
from legible.tasks import Candidate, SliderAnswer

Floats = NDArray[np.floating[Any]]
Box = tuple[float, float, float, float]

STRIDE = 4
# Edges come in units of this many pixels.
UNIT = 16
# The probability of a place is spread over the cells this near to its peak.
REACH = 2
CANDIDATES = 5
# Places under this probability are not listed, unless they look like a gap at least this much.
LEAST, ALIKE = 0.02, 0.3
# The visible piece is reported from this probability on.
PIECE = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """`box` x y w h with its raw probability (0-1)."""

    box: Box
    probability: float


@dataclass(frozen=True, slots=True)
class Found:
    """What the network saw, in pixels of the canvas: where the gap may be, likeliest first, and the visible
    piece."""

    places: tuple[Place, ...]
    piece: Place | None


def found(maps: Floats, canvas: Canvas) -> Found:
    """The likeliest places of (11, h, w) maps."""
    places = _places(maps[0], maps[3:7], canvas, CANDIDATES)
    places += _alike(maps[1], maps[3:7], canvas, places)[: CANDIDATES - len(places)]
    pieces = _places(maps[2], maps[7:11], canvas, 1)
    return Found(tuple(places), pieces[0] if pieces and pieces[0].probability >= PIECE else None)


def decode(
    seen: Found, canvas: Canvas, calibration: Calibration, threshold: float | None = None
) -> SliderAnswer:
    """The gap in one image; raises `RecognitionFailed` under the threshold."""
    places = [Place(_sent(place.box, canvas), place.probability) for place in seen.places]
    if seen.piece is None:
        return _answer(places, calibration, threshold, None, "no gap was found in the picture")
    piece_x = int(_sent(seen.piece.box, canvas)[0])
    nothing = "a piece is in the picture, but no gap was found"
    return _answer(places, calibration, threshold, piece_x, nothing)


def decode_places(
    match: Match, scores: Floats, piece: Piece, calibration: Calibration, threshold: float | None = None
) -> SliderAnswer:
    """The gap of a piece, from the places of `match` and their logits; raises `RecognitionFailed` under the
    threshold."""
    weights = np.exp(np.append(scores, 0.0) - max(float(scores.max(initial=0.0)), 0.0))
    probabilities = weights / weights.sum()
    order = np.argsort(-probabilities[:-1], kind="stable")
    places = [Place(_whole(match.boxes[i].tolist()), float(probabilities[i])) for i in order]
    shown = [place for place in places[:CANDIDATES] if place.probability >= LEAST] or places[:1]
    return _answer(shown, calibration, threshold, piece.x, "the piece fits nowhere in the background")


def _whole(box: list[int]) -> Box:
    x, y, width, height = box
    return x, y, width, height


def decode_changed(places: list[Place], piece_x: int | None, threshold: float) -> SliderAnswer:
    """The gap where the picture differs from the whole photo; raises `RecognitionFailed` under the
    threshold."""
    nothing = "the two pictures do not differ in one place"
    return _answer(places, Calibration(threshold=threshold), None, piece_x, nothing)


def _answer(
    places: list[Place], calibration: Calibration, threshold: float | None, piece_x: int | None, nothing: str
) -> SliderAnswer:
    limit = calibration.threshold if threshold is None else threshold
    if not places:
        raise RecognitionFailed(nothing, confidence=0.0, threshold=limit)
    confidence = calibration(places[0].probability)
    if confidence < limit:
        raise RecognitionFailed(
            f"{nothing} with enough confidence: {confidence:.4g}, under the threshold {limit:.4g}",
            confidence=confidence,
            threshold=limit,
        )
    candidates = tuple(
        Candidate(int(p.box[0]), round(min(confidence, calibration(p.probability)), 4)) for p in places
    )
    x, y, width, height = (int(side) for side in places[0].box)
    return SliderAnswer((x, y, width, height), round(confidence, 4), piece_x, candidates)


def _places(logits: Floats, edges: Floats, canvas: Canvas, count: int) -> list[Place]:
    """The likeliest places of an (h, w) map of logits, one of which is right, or none of them (logit 0)."""
    height, width = _inside(logits, canvas)
    logits = logits[:height, :width]
    top = max(float(logits.max()), 0.0)
    weights = np.exp(logits - top)
    probability = weights / (weights.sum() + np.exp(-top))
    likeliest = []
    for _ in range(count):
        peak = int(probability.argmax())
        cells = _around(peak, height, width)
        share = float(probability[cells].sum())
        if share < LEAST:
            break
        likeliest.append(Place(_box(edges, probability, cells), share))
        probability[cells] = 0
    return likeliest


def _alike(logits: Floats, edges: Floats, canvas: Canvas, known: list[Place]) -> list[Place]:
    """Places that look like a gap and are not known yet, as candidates of small probability."""
    height, width = _inside(logits, canvas)
    likeness = 1 / (1 + np.exp(-logits[:height, :width]))
    others: list[Place] = []
    for _ in range(CANDIDATES):
        peak = int(likeness.argmax())
        if likeness.flat[peak] < ALIKE:
            break
        cells = _around(peak, height, width)
        box = _box(edges, likeness, cells)
        if all(_apart(box, place.box) for place in known + others):
            others.append(Place(box, LEAST / 2))
        likeness[cells] = 0
    return others


def _inside(logits: Floats, canvas: Canvas) -> tuple[int, int]:
    """Rows and columns of cells that lie in the picture, not in what pads it."""
    return min(logits.shape[0], -(-canvas.pixels.shape[0] // STRIDE)), min(
        logits.shape[1], -(-canvas.pixels.shape[1] // STRIDE)
    )


def _around(peak: int, height: int, width: int) -> tuple[slice, slice]:
    row, column = divmod(peak, width)
    rows = slice(max(0, row - REACH), min(height, row + REACH + 1))
    return rows, slice(max(0, column - REACH), min(width, column + REACH + 1))


def _box(edges: Floats, weights: Floats, cells: tuple[slice, slice]) -> Box:
    """The mean of what the cells around a peak say, by weight, in pixels of the canvas."""
    weight = weights[cells] / weights[cells].sum()
    y, x = np.mgrid[cells]
    left, top, right, bottom = edges[(slice(None), *cells)] * UNIT
    across, down = (x + 0.5) * STRIDE, (y + 0.5) * STRIDE
    x0, x1 = (float((v * weight).sum()) for v in (across - left, across + right))
    y0, y1 = (float((v * weight).sum()) for v in (down - top, down + bottom))
    return x0, y0, max(x1 - x0, 1.0), max(y1 - y0, 1.0)


def _sent(box: Box, canvas: Canvas) -> Box:
    """A box on the canvas in whole pixels of the picture that was sent."""
    (x, y, width, height), (sx, sy) = box, canvas.scale
    left, across = _side(x * sx, (x + width) * sx, round(canvas.pixels.shape[1] * sx))
    top, down = _side(y * sy, (y + height) * sy, round(canvas.pixels.shape[0] * sy))
    return left, top, across, down


def _side(start: float, end: float, length: int) -> tuple[int, int]:
    """Start and length of one side of a box, in whole pixels, at least one of them and all inside
    0..length."""
    first = min(max(round(start), 0), length - 1)
    return first, min(max(round(end), first + 1), length) - first


def _apart(box: Box, other: Box) -> bool:
    """Whether the centres are more than half a box from each other."""
    dx = abs(box[0] + box[2] / 2 - other[0] - other[2] / 2)
    dy = abs(box[1] + box[3] / 2 - other[1] - other[3] / 2)
    return dx > min(box[2], other[2]) / 2 or dy > min(box[3], other[3]) / 2
