"""How far a network's own confidence can be trusted: a table that its file brings along."""

import json
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often a raw confidence (0-1, ascending) was right on pictures that no training saw, and when to
    refuse."""

    raw: tuple[float, ...] = (0.0, 1.0)
    right: tuple[float, ...] = (0.0, 1.0)
    threshold: float = 0.0

    def __call__(self, raw: float) -> float:
        return float(np.interp(raw, self.raw, self.right))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The table as a model's metadata has it."""
        table = json.loads(text)
        return cls(tuple(table["raw"]), tuple(table["right"]), float(table["threshold"]))
