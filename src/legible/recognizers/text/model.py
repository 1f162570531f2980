"""The text network as it is shipped: one ONNX file that says itself what its classes are and how sure it is
of them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from legible.calibration import Calibration
from legible.model_store import Model, load

Floats = NDArray[np.float32]


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


@cache
def network() -> Network:
    """The network of this installation, opened at its first use."""
    model = load("text")
    facts = model.metadata
    return Network(
        model,
        facts["charset"],
        Calibration.from_json(facts["calibration_text"]),
        Calibration.from_json(facts["calibration_arithmetic"]),
    )
