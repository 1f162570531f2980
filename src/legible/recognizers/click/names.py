"""What things are called: a network for pieces of scenes and whole pictures, and what its answers mean."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.model_store import Model, load, model_files
from legible.recognizers.grid.model import doubtful

Floats = NDArray[np.float32]

MODEL = "click_names"
CROP = 128
# How much of an object's surroundings is seen with it: at first, and when it is looked at again.
AROUND, AGAIN = 1.15, (1.0, 1.35)


@dataclass(frozen=True, slots=True)
class Network:
    """A model, the classes that each noun means, which nouns are told well enough in tiles, and the slope and
    offset that make evidence of a margin."""

    model: Model
    nouns: Mapping[str, tuple[int, ...]]
    tiles: tuple[str, ...]
    slope: float
    offset: float


@cache
def network() -> Network:
    """Opened at its first use."""
    model = load(MODEL)
    nouns = {noun: tuple(classes) for noun, classes in json.loads(model.metadata["nouns"]).items()}
    tiles = tuple(json.loads(model.metadata["tiles"]))
    return Network(model, nouns, tiles, *json.loads(model.metadata["calibration"]))


def known_nouns() -> tuple[str, ...]:
    """What can be pointed at in scenes: the network's vocabulary, or nothing where it is not installed."""
    return tuple(network().nouns) if MODEL in model_files() else ()


def known_in_tiles() -> tuple[str, ...]:
    """What can be told to be in a tile or not, which is harder."""
    return network().tiles if MODEL in model_files() else ()


def likelihoods(pictures: Sequence[NDArray[np.uint8]], noun: str) -> Floats:
    """(h, w, 3) pictures -> (n,) log likelihood ratios of showing the thing. The most doubtful are looked at
    again, mirrored."""
    logits = _logits(pictures)
    again = doubtful(_evidence(logits, noun))
    logits[again] = (logits[again] + _logits([pictures[i][:, ::-1] for i in again])) / 2
    return _evidence(logits, noun)


def likelihoods_at(rgb: NDArray[np.uint8], places: Floats, noun: str, twice: int) -> Floats:
    """The same of what is at (n, 3) places of the (h, w, 3) picture. So many of the likeliest are looked at
    again, mirrored, from nearer and from farther."""
    logits = _logits(crops(rgb, places, AROUND))
    likeliest = np.argsort(-_evidence(logits, noun), kind="stable")[:twice]
    again = [piece[:, ::-1] for around in AGAIN for piece in crops(rgb, places[likeliest], around)]
    looks = _logits(again).reshape(len(AGAIN), len(likeliest), -1)
    logits[likeliest] = (logits[likeliest] + looks.sum(0)) / (1 + len(AGAIN))
    return _evidence(logits, noun)


def _logits(pictures: Sequence[NDArray[np.uint8]]) -> Floats:
    logits: Floats = network().model.run(tensor(np.stack([_fitted(each) for each in pictures])))[0]
    return logits


def _evidence(logits: Floats, noun: str) -> Floats:
    known = network()
    return np.asarray(known.slope * margins(logits, known.nouns[noun]) + known.offset, np.float32)


def margins(logits: Floats, classes: tuple[int, ...]) -> Floats:
    """(n, classes) -> (n,): by how much some classes together lead all the others."""
    wanted = np.isin(np.arange(logits.shape[1]), classes)
    return np.asarray(_together(logits[:, wanted]) - _together(logits[:, ~wanted]), np.float32)


def crops(rgb: NDArray[np.uint8], places: Floats, around: float) -> list[NDArray[np.uint8]]:
    """(n, 3) places x, y and radius in pixels of the (h, w, 3) picture -> a square piece about each, so many
    radii from its middle to its sides."""
    found = []
    for x, y, radius in places:
        step = 2 * around * float(radius) / CROP
        corner = (CROP - 1) / 2 * step
        matrix = np.array([[step, 0, x - corner], [0, step, y - corner]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        piece = cv2.warpAffine(rgb, matrix, (CROP, CROP), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        found.append(np.asarray(piece, np.uint8))
    return found


def tensor(pictures: NDArray[np.uint8]) -> Floats:
    """(n, CROP, CROP, 3) -> (n, 3, CROP, CROP) in -1..1."""
    return np.asarray(pictures.transpose(0, 3, 1, 2) / np.float32(128) - 1, np.float32)


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    method = cv2.INTER_AREA if min(picture.shape[:2]) > CROP else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (CROP, CROP), interpolation=method), np.uint8)


def _together(logits: Floats) -> Floats:
    top = logits.max(1)
    return np.asarray(top + np.log(np.exp(logits - top[:, None]).sum(1)), np.float32)
