"""What things are called: a network for pieces of scenes and whole pictures, and what its answers mean."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from legible.model_store import Model, load, model_files
from legible.recognizers.click.attributes import Attribute
from legible.recognizers.click.together import likeness
from legible.recognizers.grid.model import doubtful

Floats = NDArray[np.float32]

MODEL = "click_names"
CROP = 128
# How much of an object's surroundings is seen with it: at first, and when it is looked at again.
AROUND, AGAIN = 1.15, (1.0, 1.35)
CERTAIN = -1e-4
LEVELS = {"size": 5, "price": 4}


@dataclass(frozen=True, slots=True)
class Network:
    """A model, the classes that each noun means, which nouns are told well enough in tiles, the slope and
    offset that make evidence of a margin, the sets that questions ask for without a name, and the levels of
    size and price of nouns."""

    model: Model
    nouns: Mapping[str, tuple[int, ...]]
    tiles: tuple[str, ...]
    slope: float
    offset: float
    attributes: tuple[str, ...]
    levels: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network makes of n pictures: (n, classes) logarithms of what they show; (n, 2, attributes) of
    what holds of them, as drawings taught it and as photos did; and (n, F), alike where they are."""

    told: Floats
    said: Floats
    looks: Floats

    def again(self, places: NDArray[np.intp], other: "Seen") -> "Seen":
        """With the mean of what was seen in these places and of `other`, other looks at them."""
        parts = [part.copy() for part in self._parts]
        for part, more in zip(parts, other._parts, strict=True):
            looks = more.reshape(-1, len(places), *more.shape[1:])
            part[places] = (part[places] + looks.sum(0)) / (1 + len(looks))
        return Seen(*parts)

    @property
    def _parts(self) -> tuple[Floats, Floats, Floats]:
        return self.told, self.said, self.looks


@dataclass(frozen=True, slots=True)
class Worth:
    """What is worth how much as evidence: the odds of a set and of the levels of a scale, as drawings taught
    them, as photos did, and an offset; likeness to a sample; evidence of a noun, which was fitted picture by
    picture; and how much likelier two pictures fit both or neither, by how alike they are, from where on."""

    plain: tuple[float, float, float]
    scales: tuple[float, float, float]
    sample: float
    sharper: float
    pull: float
    apart: float

    def towards(self, other: "Worth", share: float) -> "Worth":
        """This one, with so much (0-1) of the other in it."""
        mixed = [np.asarray(mine) * (1 - share) + np.asarray(theirs) * share
                 for mine, theirs in zip(astuple(self), astuple(other), strict=True)]  # fmt: skip
        return Worth(*(each.astype(np.float32) for each in mixed))  # type: ignore[arg-type]


# Fitted by `python -m training.click.tiles --fit --seed 3`; the weights of photos are half way to an earlier
# fit, see docs/models/click.md.
DRAWN = Worth((0.8, 0.0, 0.9), (1.05, 0.0, 0.0), 7.5, 1.27, 2.6, 0.08)
PHOTOS = Worth((0.2, 0.24, 0.4), (0.35, 0.3, 0.1), 9.0, 1.0, 3.8, 0.1)
# Of photos the network that learned and the one that it was say the same, of drawings not: from this cosine
# on pictures are rather taken for photos, and by how much that is unsure.
AGREED, UNSURE = 0.67, 0.03


def worth(seen: Seen) -> Worth:
    """By whether photos are seen, or drawings."""
    chances = np.exp(seen.said)
    lengths = np.linalg.norm(chances, axis=2).prod(1)
    agreed = float(((chances[:, 0] * chances[:, 1]).sum(1) / lengths).mean())
    return DRAWN.towards(PHOTOS, 1 / (1 + math.exp((AGREED - agreed) / UNSURE)))


# (n,) log likelihood ratios of what a question asks for, of what is seen.
Evidence = Callable[[Seen], Floats]


@cache
def network() -> Network:
    """Opened at its first use."""
    model = load(MODEL)
    facts = {name: json.loads(text) for name, text in model.metadata.items()}
    nouns = {noun: tuple(classes) for noun, classes in facts["nouns"].items()}
    slope, offset = facts["calibration"]
    return Network(
        model, nouns, tuple(facts["tiles"]), slope, offset, tuple(facts["attributes"]), facts["levels"]
    )


def known_nouns() -> tuple[str, ...]:
    """What can be pointed at in scenes: the network's vocabulary, or nothing where it is not installed."""
    return tuple(network().nouns) if MODEL in model_files() else ()


def known_in_tiles() -> tuple[str, ...]:
    """What can be told to be in a tile or not, which is harder."""
    return network().tiles if MODEL in model_files() else ()


def comparable(scale: str) -> tuple[str, ...]:
    """What things can be said to have less or more of than: not the first and the last level, which are
    open."""
    levels = network().levels[scale]
    return tuple(sorted(noun for noun in levels if 1 < levels[noun] < LEVELS[scale]))


def of_noun(noun: str) -> Evidence:
    """That a named thing is shown."""
    known = network()

    def evidence(seen: Seen) -> Floats:
        margin = margins(seen.told, known.nouns[noun])
        return np.asarray(known.slope * margin + known.offset, np.float32)

    return evidence


def of_attribute(attribute: Attribute) -> Evidence:
    """That what is shown is like that."""
    odds, sign = odds_of(attribute), np.float32(-1 if attribute.negated else 1)
    among = of_attribute(Attribute(attribute.among)) if attribute.among else None

    def evidence(seen: Seen) -> Floats:
        how = worth(seen)
        weights = np.asarray(how.plain if attribute.than is None else how.scales)
        found = np.asarray(sign * (odds(seen.said) @ weights[:2] + weights[2]), np.float32)
        return found if among is None else np.minimum(found, among(seen))

    return evidence


def odds_of(attribute: Attribute) -> Callable[[Floats], Floats]:
    """From (n, 2, attributes) to (n, 2) logarithms of the odds of a set, or of levels against the others."""
    known = network().attributes
    if attribute.than is None:
        column = known.index(attribute.name)

        def odds(said: Floats) -> Floats:
            chance = np.minimum(said[..., column], CERTAIN)
            return np.asarray(chance - np.log1p(-np.exp(chance)), np.float32)

        return odds
    own = network().levels[attribute.name][attribute.than]
    levels = [known.index(f"{attribute.name} {level}") for level in range(1, 1 + LEVELS[attribute.name])]
    fits, others = (levels[own:], levels[:own]) if attribute.more else (levels[: own - 1], levels[own - 1 :])
    return lambda said: _log_sum(said[..., fits]) - _log_sum(said[..., others])


def of_samples(samples: Seen) -> Evidence:
    """That what is shown is like the sample pictures."""

    def evidence(seen: Seen) -> Floats:
        alike = likeness(np.concatenate([seen.looks, samples.looks]))
        to_samples = alike[: len(seen.looks), len(seen.looks) :].mean(1)
        return np.asarray(worth(seen).sample * (to_samples - to_samples.mean()), np.float32)

    return evidence


def see(pictures: Sequence[NDArray[np.uint8]]) -> Seen:
    """(h, w, 3) pictures, each of them whole."""
    return Seen(*network().model.run(tensor(np.stack([_fitted(each) for each in pictures]))))


def see_well(pictures: Sequence[NDArray[np.uint8]], evidence: Evidence) -> Seen:
    """The same; those that leave most doubt are looked at again, mirrored."""
    seen = see(pictures)
    again = doubtful(evidence(seen))
    return seen.again(again, see([pictures[i][:, ::-1] for i in again]))


def likelihoods_at(rgb: NDArray[np.uint8], places: Floats, evidence: Evidence, twice: int) -> Floats:
    """(n,) of what is at (n, 3) places of the (h, w, 3) picture. So many of the likeliest are looked at
    again, mirrored, from nearer and from farther."""
    seen = see(crops(rgb, places, AROUND))
    likeliest = np.argsort(-evidence(seen), kind="stable")[:twice]
    again = [piece[:, ::-1] for around in AGAIN for piece in crops(rgb, places[likeliest], around)]
    return evidence(seen.again(likeliest, see(again)))


def margins(logits: Floats, classes: tuple[int, ...]) -> Floats:
    """(n, classes) -> (n,): by how much some classes together lead all the others."""
    wanted = np.isin(np.arange(logits.shape[1]), classes)
    return np.asarray(_log_sum(logits[:, wanted]) - _log_sum(logits[:, ~wanted]), np.float32)


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


def _log_sum(logits: Floats) -> Floats:
    top = logits.max(-1)
    return np.asarray(top + np.log(np.exp(logits - top[..., None]).sum(-1)), np.float32)
