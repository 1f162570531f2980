"""Composes sets of tiles with questions, measures how many are answered rightly, and fits what evidence and
likeness are worth.

    python -m training.click.tiles BANK PHOTOS TILES WEIGHTS [--count 900] [--seed 2] [--fit]

`--fit` prints the constants of `names.py`; measure with another seed than the one they were
fitted on.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812
from training.click import attributes
from training.click.model import NameNet
from training.click.named import TINY, Image, Views, load
from training.click.scenes import Bank, Scenes, grounds
from training.click.train_names import GROUPS, NEAR
from training.click.vocabulary import CLASSES, NAMES

from legible.recognizers.click import names, tiles, together
from legible.recognizers.click.attributes import Attribute
from legible.recognizers.click.questions import Question
from legible.recognizers.click.wordings import Rule
from legible.recognizers.subsets import place_of, sets

TILES_A_SET = 9
# Asked of photos and drawings: sets whose members our table of attributes is sure of.
SETS = (
    "animal", "bird", "insect", "fruit", "vehicle", "furniture", "clothing", "instrument", "edible",
    "man-made", "needs sunlight", "not for sale", "flies", "runs", "sports gear", "electric",
)  # fmt: skip
LEAST_TILES = 4  # photos of a class of Tiny ImageNet that make it worth asking for
SHOWN = 12  # of them, that say which of ImageNet's labels it is
STEPS, LR = 400, 0.03
ROWS = {name: attributes.rows_of(name) for name in attributes.ATTRIBUTES}
LEVELS = attributes.levels()


@dataclass(frozen=True, slots=True)
class Composed:
    """A question, its pictures, which of them fit, and sample pictures; `photos`: not drawn."""

    question: Question
    pictures: list[Image]
    fits: NDArray[np.bool_]
    samples: list[Image]
    photos: bool


class Source(Protocol):
    """Pictures by class; a class is a row of the head (`attributes.rows_of`)."""

    rows: list[int]

    def view(self, row: int) -> Image: ...


class Drawings:
    """Held-out drawings and photos, in every style."""

    def __init__(self, arguments: argparse.Namespace, rng: np.random.Generator) -> None:
        bank = Bank.load(arguments.bank, held_out=False)
        ground = Scenes(bank, grounds(arguments.photos, True), rng, 60)
        self.views = Views(load(bank, arguments.tiles, True), ground, rng)
        self.shown = {attributes.IMAGENET + NAMES.index(name): name for name in CLASSES
                      if len(self.views.things.pictures[name]) >= 3}  # fmt: skip
        self.rows = list(self.shown)

    def view(self, row: int) -> Image:
        picture = self.views.of(self.shown[row])
        assert picture is not None
        return picture


class Photos:
    """Photos of Tiny ImageNet as they are, but for crops and blur; of what is no class of ours alone, since
    photos of those were learned from."""

    def __init__(self, arguments: argparse.Namespace, rng: np.random.Generator) -> None:
        files = defaultdict(list)
        for file in sorted((arguments.tiles / TINY).glob("*/*.jpg")):
            files[file.name.split("_")[0]].append(file)
        net = NameNet(GROUPS, arguments.weights, NEAR).eval()
        labels = {name: _label(net, found[:SHOWN]) for name, found in files.items()}
        often = Counter(labels.values())
        learned = {label for each in CLASSES.values() for label in each.imagenet}
        self.rng = rng
        self.files = {}
        for name, found in files.items():
            label = labels[name]
            if len(found) >= LEAST_TILES and often[label] == 1 and label not in learned:
                self.files[label] = found
        self.rows = list(self.files)

    def view(self, row: int) -> Image:
        rng, found = self.rng, self.files[row]
        rgb = cv2.imread(str(found[int(rng.integers(len(found)))]))[..., ::-1]
        side = int(rgb.shape[0] * rng.uniform(0.8, 1))
        x, y = rng.integers(0, rgb.shape[0] - side + 1, 2)
        part = rgb[y : y + side, x : x + side]
        part = part[:, ::-1] if rng.random() < 0.5 else part
        whole = (names.CROP, names.CROP)
        large = cv2.resize(np.ascontiguousarray(part), whole, interpolation=cv2.INTER_CUBIC)
        return cv2.GaussianBlur(large, (0, 0), rng.uniform(0.5, 2.5)) if rng.random() < 0.3 else large


def _label(net: NameNet, files: list[Path]) -> int:
    """Which of ImageNet's labels most of a folder's photos show, as the trunk was taught them."""
    photos = [cv2.resize(cv2.imread(str(file))[..., ::-1], (names.CROP, names.CROP)) for file in files]
    with torch.no_grad():
        x = torch.from_numpy(names.tensor(np.stack(photos)))
        scores = net.head(net.pooled(net.first(x)))[:, : attributes.IMAGENET]
        return int(F.log_softmax(scores, 1).mean(0).argmax())


def composed(source: Source, rng: np.random.Generator, photos: bool) -> Iterator[Composed]:
    """Sets of nine: two to five fit, mostly all of one class, beside one to four other classes, or many."""
    while True:
        asked = _asked(source, rng)
        if asked is None:
            continue
        question, fitting, others = asked
        some = rng.choice(fitting, min(len(fitting), 1 if rng.random() < 0.7 else 2), replace=False)
        apart = rng.choice(
            others, min(len(others), 9 if rng.random() < 0.15 else int(rng.integers(1, 5))), False
        )
        count = int(rng.integers(2, 6))
        rows = [int(rng.choice(some if place < count else apart)) for place in range(TILES_A_SET)]
        order = rng.permutation(TILES_A_SET)
        pictures = [source.view(rows[place]) for place in order]
        samples = [source.view(int(some[0])) for _ in range(int(rng.integers(1, 4)))]
        yield Composed(question, pictures, order < count, samples, photos)


def _asked(source: Source, rng: np.random.Generator) -> tuple[Question, list[int], list[int]] | None:
    """A question, the classes that fit and those that do not; None where there are none of either."""
    choice = rng.random()
    if choice < 0.3:
        name = str(rng.choice(SETS))
        question = Question(Rule.ATTRIBUTE, attribute=Attribute(name))
        fitting = [row for row in source.rows if row in ROWS[name]]
        others = [row for row in source.rows if row not in ROWS[name]]
    elif choice < 0.55:
        scale = str(rng.choice(attributes.SCALES))
        than = str(rng.choice(sorted(LEVELS[scale])))
        more = bool(rng.random() < 0.5)
        level = LEVELS[scale][than]
        question = Question(Rule.ATTRIBUTE, attribute=Attribute(scale, than=than, more=more))
        if than not in names.comparable(scale):
            return None
        of = {row: each for each in range(1, 6) for row in ROWS.get(f"{scale} {each}", ())}
        fitting = [row for row in source.rows if row in of and (of[row] > level if more else of[row] < level)]
        others = [row for row in source.rows if row in of and (of[row] < level if more else of[row] > level)]
    elif choice < 0.75:
        question, fitting = Question(Rule.ALIKE), [int(rng.choice(source.rows))]
        others = [row for row in source.rows if row not in fitting]
    else:
        nouns = {noun: _rows_of(noun) for noun in names.known_in_tiles()}
        noun = str(rng.choice(sorted(nouns)))
        unsure = {row for each in CLASSES[noun].unsure for row in _rows_of(each)}
        question = Question(Rule.NAMED_TILES, noun)
        fitting = [row for row in source.rows if row in nouns[noun]]
        others = [row for row in source.rows if row not in nouns[noun] | unsure]
    return (question, fitting, others) if fitting and others else None


def _rows_of(noun: str) -> set[int]:
    classes = [each for each in CLASSES[noun].means if each in CLASSES]
    return {row for each in classes
            for row in (*CLASSES[each].imagenet, attributes.IMAGENET + NAMES.index(each))}  # fmt: skip


# ---- fitting: what of evidence is linear in what is fitted -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parts:
    """(n, 9, 8) what evidence is made of, (n, 9, 9) likeness, (n,) the right set."""

    evidence: torch.Tensor
    likeness: torch.Tensor
    right: torch.Tensor


def parts_of(drawn: list[Composed]) -> Parts:
    evidence, likeness, right = [], [], []
    for each in drawn:
        seen = names.see(each.pictures)
        columns = np.zeros((TILES_A_SET, 8), np.float32)
        attribute = each.question.attribute
        if attribute is not None:
            place = 0 if attribute.than is None else 3
            columns[:, place : place + 2] = names.odds_of(attribute)(seen.said)
            columns[:, place + 2] = 1
        elif each.question.rule is Rule.ALIKE:
            columns[:, 6] = names.of_samples(names.see(each.samples))(seen) / names.worth(seen).sample
        else:
            columns[:, 7] = names.of_noun(each.question.target or "")(seen)
        evidence.append(columns)
        likeness.append(together.likeness(seen.looks))
        right.append(place_of(np.flatnonzero(each.fits)))
    return Parts(
        torch.from_numpy(np.stack(evidence)), torch.from_numpy(np.stack(likeness)), torch.tensor(right)
    )


def chances(weights: torch.Tensor, parts: Parts) -> torch.Tensor:
    """(n, 512) logarithms, as `together` has them."""
    every = torch.from_numpy(sets(TILES_A_SET)).float()
    signs = 2 * every - 1
    pull = weights[8] * (parts.likeness - weights[9]) * (1 - torch.eye(TILES_A_SET))
    sizes = every.sum(1).long()
    usual = torch.from_numpy(together.usual(TILES_A_SET, None)).float()[sizes] / sizes.bincount()[sizes]
    alike = torch.einsum("ki,nij,kj->nk", signs, pull, signs) / 4
    return torch.log_softmax((parts.evidence @ weights[:8]) @ every.T + alike + usual.log(), 1)


def fitted(parts: Parts) -> torch.Tensor:
    weights = torch.tensor([0.2, 0.3, 0.0, 0.2, 0.5, 0.0, 4.0, 1.0, 4.0, 0.2], requires_grad=True)
    optimizer = torch.optim.Adam([weights], LR)
    for _ in range(STEPS):
        loss = -chances(weights, parts).gather(1, parts.right[:, None]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"log loss of a set {float(loss.detach()):.3f}")
    return weights.detach()


def measured(drawn: list[Composed]) -> None:
    rows = defaultdict(list)
    for each in drawn:
        joint = tiles.choose_tiles(each.pictures, each.question, each.samples)
        said = joint.likeliest
        sure = joint.chance_of(said)
        kind = each.question.attribute.name if each.question.attribute else each.question.rule.name
        kind = "scale" if kind in attributes.SCALES else "set" if kind in SETS else kind
        found, missed, wrong = (
            int(part.sum()) for part in (said & each.fits, ~said & each.fits, said & ~each.fits)
        )
        loss = -np.log(max(1e-9, joint.chance_of(each.fits)))
        rows[kind, each.photos].append(((said == each.fits).all(), sure, loss, found, missed, wrong))
    print("| asked | of | sets | exact | said | log loss | answered | right of these | F1 |")
    for (kind, photos), found in sorted(rows.items()):
        exact, sure, loss, right, missed, wrong = np.array(found, float).T
        answered = sure >= tiles.LEAST
        f1 = 2 * right.sum() / (2 * right.sum() + missed.sum() + wrong.sum())
        shares = f"{answered.mean():.1%} | {exact[answered].mean():.1%} | {f1:.3f}"
        print(
            f"| {kind} | {'photos' if photos else 'all'} | {len(found)} | {exact.mean():.1%} "
            f"| {sure.mean():.2f} | {loss.mean():.2f} | {shares} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bank", "photos", "tiles", "weights"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--count", type=int, default=900)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    cv2.setNumThreads(0)
    drawn: list[Composed] = []
    for photos, kind in ((True, Photos), (False, Drawings)):
        rng = np.random.default_rng((arguments.seed, photos))
        source = composed(kind(arguments, rng), rng, photos)
        drawn += [next(source) for _ in range(arguments.count // 2)]
    measured(drawn)
    for photos, name in (False, "DRAWN"), (True, "PHOTOS"):
        if arguments.fit:
            part = [each for each in drawn if each.photos is photos]
            w = [round(float(each), 2) for each in fitted(parts_of(part))]
            print(f"{name} = Worth{tuple(w[:3]), tuple(w[3:6]), *w[6:]}")


if __name__ == "__main__":
    main()
