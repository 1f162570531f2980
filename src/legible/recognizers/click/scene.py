"""Click on the elephant, or on what is made by humans: every object of a scene is cut out and asked whether
it is that."""

import numpy as np

from legible.images import Picture
from legible.recognizers.click.decode import Reading, rated
from legible.recognizers.click.model import Floats, View
from legible.recognizers.click.names import Evidence, likelihoods_at
from legible.recognizers.click.preprocess import Canvas
from legible.recognizers.click.rules import Choice
from legible.recognizers.click.things import find_things
from legible.recognizers.click.wordings import Rule


def look_for(wanted: Evidence, rule: Rule, picture: Picture, canvas: Canvas, count: int) -> Reading:
    """The `count` objects of a scene that are most likely wanted, all of the same picture."""
    things = find_things(canvas.rgb)
    view = View(things.places, (), things.areas)
    if not len(things.places):
        return rated(view, Choice((), 0.0), rule)
    # It is decided between the last chosen and the next: looking at more of them again does no better.
    evidence = likelihoods_at(picture.rgb, canvas.in_picture(things.places), wanted, twice=count + 1)
    return rated(view, likeliest(evidence, count), rule)


def likeliest(evidence: Floats, count: int) -> Choice:
    """The `count` with the most evidence; the margin is how far the last leads all others together, or
    nothing where there are none: under 0 where one of them is likelier to be right than it. None are chosen
    where there are not as many."""
    if len(evidence) < count:
        return Choice((), 0.0)
    order = np.argsort(-evidence, kind="stable")
    chosen, others = order[:count], order[count:]
    following = float(np.logaddexp.reduce(evidence[others].astype(np.float64))) if len(others) else 0.0
    return Choice(tuple(int(i) for i in chosen), float(evidence[chosen[-1]]) - following)
