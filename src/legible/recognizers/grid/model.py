"""The two grid networks as they are shipped: one sees single tiles, one a scene of 4x4 cells. Both answer
with evidence."""

import json
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from legible.model_store import Model, load
from legible.recognizers.grid.labels import PARTS

Floats = NDArray[np.float32]

# So many tiles are seen twice: with all nine, no more challenges are exact, and it takes twice as long.
TWICE = 4


@dataclass(frozen=True, slots=True)
class Calibration:
    """From a logit and its margin to the log of how much likelier it is with the object than without.

    Fitted on pictures that no training saw, so that objects as often there as not come out with the right
    probability.
    """

    slope: float = 1.0
    margin_slope: float = 0.0
    offset: float = 0.0

    def __call__(self, logits: Floats, margins: Floats) -> Floats:
        slope, margin_slope = np.float32(self.slope), np.float32(self.margin_slope)
        evidence: Floats = slope * logits + margin_slope * margins + np.float32(self.offset)
        return evidence


@dataclass(frozen=True, slots=True)
class Network:
    """A model, the label ids of its outputs, and what its logits are worth, label by label."""

    model: Model
    labels: tuple[str, ...]
    calibrations: dict[str, Calibration]


def _network(name: str) -> Network:
    model = load(name)
    table = json.loads(model.metadata["calibrations"])
    calibrations = {label: Calibration(**facts) for label, facts in table.items()}
    return Network(model, tuple(json.loads(model.metadata["labels"])), calibrations)


@cache
def tile_network() -> Network:
    """The network for single tiles, opened at its first use."""
    return _network("grid")


@cache
def scene_network() -> Network:
    """The network for 4x4 scenes, opened at its first use."""
    return _network("grid_scene")


def columns(labels: tuple[str, ...], label: str) -> list[int]:
    """The outputs that speak for a label: its own, and that of its part."""
    return [labels.index(each) for each in (label, PARTS.get(label)) if each in labels]


def likelihoods(tensor: Floats, label: str) -> Floats:
    """(N, 3, 128, 128) tiles -> (N,) log likelihood ratios of the label being there.

    The most doubtful of them are seen a second time, mirrored.
    """
    network = tile_network()
    own, calibration = columns(network.labels, label), network.calibrations[label]
    logits = network.model.run(tensor)[0]
    again = doubtful(evidence(logits, own, calibration))
    mirrored = np.ascontiguousarray(tensor[again][..., ::-1])
    logits[again] = (logits[again] + network.model.run(mirrored)[0]) / 2
    return evidence(logits, own, calibration)


def evidence(logits: Floats, own: list[int], calibration: Calibration) -> Floats:
    """(N, labels + 1) -> (N,) log likelihood ratios of what these outputs speak for."""
    return calibration(logits[:, own].max(1), margins(logits, own))


def doubtful(likelihoods: Floats) -> NDArray[np.intp]:
    """The tiles that a second look may decide: at most `TWICE`, those nearest to even odds."""
    return np.argsort(np.abs(likelihoods), kind="stable")[:TWICE]


def margins(logits: Floats, own: list[int]) -> Floats:
    """(N, labels + 1), the last for none of them -> (N,): how far these outputs lead all others together."""
    others = np.delete(logits, own, axis=1)
    top = others.max(1, keepdims=True)
    lead: Floats = logits[:, own].max(1) - top[:, 0] - np.log(np.exp(others - top).sum(1))
    return lead


def scene_likelihoods(tensor: Floats, label: str) -> Floats:
    """(1, 3, S, S) scene -> (16,) log likelihood ratios of the label touching each cell."""
    network = scene_network()
    logits = network.model.run(tensor)[0][0, columns(network.labels, label)].max(0).ravel()
    return network.calibrations[label](logits, scene_margins(logits))


def scene_margins(logits: Floats) -> Floats:
    """By how much each cell is behind the best of its scene, where the object nearly always is."""
    behind: Floats = logits - logits.max()
    return behind
