"""The text network as it is shipped: one ONNX file that says itself what its classes are and how sure it is
of them."""

import json
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from legible.calibration import Calibration
from legible.model_store import Model, load

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Network:
    """`charset` in the order of the classes, with the blank after its last character. `texts` and
    `sums` are for what is read at the first look, for what was unsure by then after the second, and so on."""

    model: Model
    charset: str
    texts: tuple[Calibration, ...]
    sums: tuple[Calibration, ...]

    def run(self, cells: NDArray[np.uint8]) -> Floats:
        """(1, 32, W / 2, 12) of `preprocess` -> (T, C) likelihoods, blank last, the best of each frame 1; a
        frame is 4 px."""
        logits = self.model.run(cells)[0][0]
        logits -= logits.max(1, keepdims=True)
        likelihoods: Floats = np.exp(logits, out=logits)
        return likelihoods


@cache
def network() -> Network:
    """The network of this installation, opened at its first use."""
    model = load("text")
    facts = model.metadata
    return Network(
        model,
        facts["charset"],
        tuple(map(Calibration.from_table, json.loads(facts["calibrations_text"]))),
        tuple(map(Calibration.from_table, json.loads(facts["calibrations_arithmetic"]))),
    )
