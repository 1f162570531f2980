"""How far a network's own confidence can be trusted: a table that its file brings along."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Self

# Under this confidence a recognizer refuses, free of charge, unless the request has a threshold of its own:
# one answer in three is still worth a call.
THRESHOLD = 0.3


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often a raw confidence (0-1, ascending) was right on pictures that no training saw, and when to
    refuse."""

    raw: tuple[float, ...] = (0.0, 1.0)
    right: tuple[float, ...] = (0.0, 1.0)
    threshold: float = 0.0

    def __call__(self, raw: float) -> float:
        place = min(bisect_right(self.raw, raw), len(self.raw) - 1)
        (x0, x1), (y0, y1) = self.raw[place - 1 : place + 1], self.right[place - 1 : place + 1]
        return y0 + (y1 - y0) * (raw - x0) / (x1 - x0) if x1 > x0 else y1

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Self:
        """The table as a model's metadata has it, in JSON."""
        return cls(tuple(table["raw"]), tuple(table["right"]), float(table["threshold"]))
