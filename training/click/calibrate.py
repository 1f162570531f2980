"""Measures the click rules on drawn scenes of the five levels, and fits how sure each margin makes them.

    python -m training.click.calibrate [--count 100] [--seed 1] [--fit | --pages]
    python -m training.click.calibrate --named BANK PHOTOS TILES [--count 100] [--fit]

`--fit` prints the constants of `decode.py`; measure with another seed than the one they were fitted on.
`--pages` puts every scene on a page, as screenshots have it.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from training.click import attributes
from training.click.data import LEVELS, Asked, Scene, on_page, scene
from training.click.named import Views, load, photos_of
from training.click.scenes import Bank, Scenes, grounds
from training.click.tiles import SETS
from training.click.vocabulary import CLASSES, NAMES

from legible.images import Picture
from legible.recognizers.click import COUNTS, SIZES, best_reading
from legible.recognizers.click.attributes import Attribute
from legible.recognizers.click.decode import CALIBRATIONS, Reading, least, read
from legible.recognizers.click.model import look_at_discs, look_at_things
from legible.recognizers.click.names import Evidence, known_nouns, of_attribute, of_noun
from legible.recognizers.click.preprocess import Canvas, preprocess
from legible.recognizers.click.questions import Question, parse
from legible.recognizers.click.scene import look_for
from legible.recognizers.click.wordings import Rule

# The margin where nothing was chosen.
NOTHING = -np.inf
# What named things are asked for in, by level.
NAMED = ("held-out pictures", "held-out photos")
# Levels at which each question makes sense: discs have one size, and only discs hold shapes.
DRAWN = {
    Asked.ODD: (1, 2, 3, 4, 5),
    Asked.UNIFORM: (4,),
    Asked.PAIR: (1, 2, 3, 4),
    Asked.LARGEST: (1, 2, 3, 5),
    Asked.SMALLEST: (1, 2, 3, 5),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one scene."""

    asked: Asked | None
    level: int
    rule: Rule
    kind: str
    margin: float
    right: bool
    seconds: float


def measured(drawn: Scene, level: int, *, alone: bool = False) -> Row:
    """The rule's choice on a scene, whatever its margin; `alone` takes discs wherever there are some."""
    question = parse(drawn.asked)
    assert question is not None
    start = time.process_time()
    canvas = preprocess(Picture(drawn.rgb))
    reading = read_alone(canvas, question) if alone else best_reading(canvas, question)
    seconds = time.process_time() - start
    view, choice = reading.view, reading.choice
    points = canvas.in_picture(view.places[list(choice.objects)])[:, :2]
    wanted = [place for place in drawn.places if place.wanted]
    hit = [any(np.hypot(x - p.x, y - p.y) <= p.radius for x, y in points) for p in wanted]
    right = len(points) > 0 and all(hit) and len(points) == len(wanted)
    margin = choice.margin if choice.objects else NOTHING
    return Row(drawn.asked, level, question.rule, view.kind, margin, right, seconds)


def read_alone(canvas: Canvas, question: Question) -> Reading:
    """One way to read the canvas, whatever the calibration, so that a calibration can be fitted to it."""
    count = question.count or COUNTS.get(question.rule, 1)
    discs = None if question.rule in SIZES else look_at_discs(canvas)
    return read(look_at_things(canvas) if discs is None else discs, question.rule, count)


def rows(count: int, seed: int, *, alone: bool = False, pages: bool = False) -> Iterator[Row]:
    for asked, levels in DRAWN.items():
        for level in levels:
            rng = np.random.default_rng((seed, level, list(Asked).index(asked)))
            for _ in range(count if asked is Asked.ODD else count // 2):
                drawn = scene(rng, level, asked)
                yield measured(on_page(rng, drawn) if pages else drawn, level, alone=alone)


def named_rows(paths: list[Path], count: int, seed: int, *, fitting: bool) -> Iterator[Row]:
    """Scenes of four to ten different things, held-out drawings and photos, and then held-out photos alone;
    each thing is asked for by its name, and one by what it alone is like. Half of the nouns are asked for to
    fit, the others to measure."""
    bank, photos, tiles = paths
    rng = np.random.default_rng((seed, 6))
    held_out = load(Bank.load(bank, held_out=False), tiles, held_out=True)
    ground = Scenes(Bank.load(bank, held_out=True), grounds(photos, held_out=True), rng, 60)
    for level, things in enumerate((held_out, photos_of(held_out))):
        views = Views(things, ground, rng)
        known = [noun for noun in known_nouns() if things.pictures[noun]]
        for _ in range(count):
            rgb, places = views.scene(unlike(rng, known, int(rng.integers(4, 11))))
            for noun, *place in places:
                if (zlib.crc32(noun.encode()) % 2 == 0) == fitting:
                    yield named_row(of_noun(noun), Rule.NAMED_POINT, rgb, tuple(place), level)
            shown = {attributes.IMAGENET + NAMES.index(noun): place for noun, *place in places}
            alone = {name: min(found) for name in SETS
                     if len(found := attributes.rows_of(name) & {*shown}) == 1}  # fmt: skip
            if alone:
                name = str(rng.choice(sorted(alone)))
                wanted = of_attribute(Attribute(name))
                yield named_row(wanted, Rule.ATTRIBUTE, rgb, tuple(shown[alone[name]]), level)


def unlike(rng: np.random.Generator, nouns: list[str], count: int) -> list[str]:
    """So many nouns of which none means another."""
    chosen: list[str] = []
    near = {noun: {noun, *CLASSES[noun].means, *CLASSES[noun].unsure} for noun in nouns}
    for noun in map(str, rng.permutation(nouns)):
        if len(chosen) < count and not any(noun in near[each] or each in near[noun] for each in chosen):
            chosen.append(noun)
    return chosen


def named_row(
    wanted: Evidence, rule: Rule, rgb: NDArray[np.uint8], place: tuple[float, ...], level: int
) -> Row:
    start = time.process_time()
    picture = Picture(rgb)
    canvas = preprocess(picture)
    reading = look_for(wanted, rule, picture, canvas, 1)
    seconds = time.process_time() - start
    points = canvas.in_picture(reading.view.places[list(reading.choice.objects)])[:, :2]
    right = any(np.hypot(x - place[0], y - place[1]) <= place[2] for x, y in points)
    margin = reading.choice.margin if reading.choice.objects else NOTHING
    return Row(None, level, rule, "things", margin, right, seconds)


def fitted(margins: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope and offset of a logistic regression with a little weight decay (Newton's method)."""
    inputs = np.stack([margins, np.ones_like(margins)], 1)
    weights, decay = np.zeros(2), np.diag([0.01, 0.01])
    for _ in range(50):
        p = 1 / (1 + np.exp(-inputs @ weights))
        hessian = inputs.T * (p * (1 - p)) @ inputs + decay
        weights = weights - np.linalg.solve(hessian, inputs.T @ (p - right) + decay @ weights)
    return float(weights[0]), float(weights[1])


def report(done: list[Row]) -> None:
    """A line a question and level: right of all, and with refusals: answered, and right of these."""
    print(
        "| question | level | n | right | answered | right of these | CPU ms | as discs |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for asked, rule, level in dict.fromkeys((row.asked, row.rule, row.level) for row in done):
        part = [row for row in done if (row.asked, row.rule, row.level) == (asked, rule, level)]
        sure = [row for row in part if confidence(row) >= least(row.rule)]
        right = f"{np.mean([row.right for row in sure]):.1%}" if sure else "-"
        if asked is None:
            name, style = rule.name.lower(), NAMED[level]
        else:
            name, style = asked.name.lower(), LEVELS[level - 1]
        print(
            f"| {name} | {style} | {len(part)} "
            f"| {np.mean([row.right for row in part]):.1%} | {len(sure) / len(part):.1%} | {right} "
            f"| {1e3 * np.mean([row.seconds for row in part]):.0f} "
            f"| {np.mean([row.kind == 'discs' for row in part]):.0%} |"
        )
    known = [row for row in done if row.margin > NOTHING and (row.rule, row.kind) in CALIBRATIONS]
    chances, hits = np.array([confidence(row) for row in known]), np.array([row.right for row in known])
    steps = np.minimum((chances * 10).astype(int), 9)
    groups = [
        (chances[steps == s].mean(), hits[steps == s].mean(), (steps == s).sum()) for s in np.unique(steps)
    ]
    error = sum(abs(said - right) * n for said, right, n in groups) / len(known)
    print(f"expected calibration error: {error:.1%} of {len(known)}; said, right, n:")
    print(", ".join(f"{said:.2f} {right:.2f} {n}" for said, right, n in groups))


def confidence(row: Row) -> float:
    calibration = CALIBRATIONS.get((row.rule, row.kind))
    return 0.0 if calibration is None or row.margin == NOTHING else calibration(row.margin)


def constants(done: list[Row]) -> None:
    for rule in dict.fromkeys(row.rule for row in done):
        for kind in ("discs", "things"):
            part = [row for row in done if row.rule is rule and row.kind == kind and row.margin > NOTHING]
            if len(part) < 30:
                continue
            slope, offset = fitted(
                np.array([r.margin for r in part]), np.array([float(r.right) for r in part])
            )
            print(
                f'    (Rule.{rule.name}, "{kind}"): Calibration({slope:.2f}, {offset:.2f}),'
                f"  # {len(part)} scenes"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--pages", action="store_true")
    parser.add_argument("--named", type=Path, nargs=3, metavar=("BANK", "PHOTOS", "TILES"))
    arguments = parser.parse_args()
    if arguments.named:
        done = list(named_rows(arguments.named, arguments.count, arguments.seed, fitting=arguments.fit))
    else:
        done = list(rows(arguments.count, arguments.seed, alone=arguments.fit, pages=arguments.pages))
    if arguments.fit:
        constants(done)
    else:
        report(done)


if __name__ == "__main__":
    main()
