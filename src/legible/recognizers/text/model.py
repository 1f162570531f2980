"""The text network as it is shipped: one ONNX file that says itself what its classes are and how sure it is
of them."""

import json
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from legible.model_store import Model, load

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often a raw confidence (0-1, ascending) was right on pictures that no training saw, and when to
    refuse."""

    raw: tuple[float, ...] = (0.0, 1.0)
    right: tuple[float, ...] = (0.0, 1.0)
    threshold: float = 0.0

    def __call__(self, raw: float) -> float:
        return float(np.interp(raw, self.raw, self.right))


@dataclass(frozen=True, slots=True)
class Network:
    """`charset` in the order of the classes, with the blank after its last character."""

    model: Model
    charset: str
    text: Calibration
    arithmetic: Calibration

    def run(self, tensor: Floats) -> Floats:
        """(1, 3, 64, W) standardized pixels -> (T, C) probabilities, blank last; a frame is 4 px."""
        logits = self.model.run(tensor)[0][0]
        logits -= logits.max(1, keepdims=True)
        probs: Floats = np.exp(logits, out=logits)
        probs /= probs.sum(1, keepdims=True)
        return probs


def _calibration(metadata: str | None) -> Calibration:
    if metadata is None:
        return Calibration()
    table = json.loads(metadata)
    return Calibration(tuple(table["raw"]), tuple(table["right"]), float(table["threshold"]))


@cache
def network() -> Network:
    """The network of this installation, opened at its first use."""
    model = load("text")
    facts = model.metadata
    return Network(
        model,
        facts["charset"],
        _calibration(facts.get("calibration_text")),
        _calibration(facts.get("calibration_arithmetic")),
    )
