"""The slider networks as they are shipped: one finds the gap in one image, one says where exactly its edges
are, one ranks the places for a given piece."""

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
    """A model and how far its confidence can be trusted."""

    model: Model
    calibration: Calibration

    def maps(self, tensor: Floats) -> Floats:
        """(1, 3, H, W) in -1..1 -> (11, H / 4, W / 4): logits of the gap, of anything like it, of the visible
        piece; left, top, right, bottom of the gap and of the piece, from the cell, in units of 16 px."""
        maps: Floats = self.model.run(tensor)[0][0]
        return maps

    def scores(self, features: Floats) -> Floats:
        """(N, F) of `match` -> (N,) logits of each place; "none of them" has logit 0."""
        scores: Floats = self.model.run(features)[0][:, 0]
        return scores


def _network(name: str) -> Network:
    model = load(name)
    return Network(model, Calibration.from_table(json.loads(model.metadata["calibration"])))


@cache
def finder() -> Network:
    """The network that finds the gap in one image, opened at its first use."""
    return _network("slider")


@cache
def ranker() -> Network:
    """The network that ranks places for a piece, opened at its first use."""
    return _network("slider_piece")


def closer() -> Model:
    """The network that says where the edges of one place are: (N, 3, 64, 64) in -1..1 -> (N, 4) left, top,
    right, bottom as shares of the view."""
    return load("slider_edges")
