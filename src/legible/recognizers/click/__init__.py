"""Click the object: a question in words about a scene, answered by rules over the objects that are found in
it; or about several pictures of one thing each."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from legible import images
from legible.errors import InvalidField, InvalidImage
from legible.images import Picture
from legible.model_store import model_files
from legible.recognizers.click.decode import Reading, decode, read
from legible.recognizers.click.model import look_at_discs, look_at_things
from legible.recognizers.click.names import MODEL, comparable, known_nouns, of_attribute, of_noun
from legible.recognizers.click.preprocess import LEAST_SIDE, Canvas, preprocess
from legible.recognizers.click.questions import Question, parse
from legible.recognizers.click.rules import RULES
from legible.recognizers.click.scene import look_for
from legible.recognizers.click.tiles import choose_tiles, decode_tiles, shrunk, tile_nouns
from legible.recognizers.click.wordings import Rule
from legible.tasks import ClickAnswer, ClickOptions, Task

MOST_IMAGES = 16
# The least side of a picture of one thing, in pixels.
LEAST_TILE = 24
SHOWN = 120
SIZES = (Rule.LARGEST, Rule.SMALLEST)
# How many objects a question means that does not say.
COUNTS = {Rule.PAIR: 2}
# Of how many pictures a question is asked: of several, of one, or of either.
OF_SEVERAL, OF_EITHER = (Rule.NAMED_TILES, Rule.ALIKE), (Rule.ATTRIBUTE,)
# What is like a sample is told beside what is not.
FEWEST = 3
# What is asked of a picture whose answer must be a place in it.
A_PLACE = "a question for a place in the picture, as in: click on the elephant"
# How many of one picture are like that is not looked at.
ONE_OR_TILES = "several pictures, or a question for one object, or for so many"
# Pixels of all pictures of a call together, in pictures as large as may be: each takes its time.
MOST_LARGE = 2
# What may be named in a question of each kind.
VOCABULARIES = {Rule.NAMED_TILES: tile_nouns, Rule.NAMED_POINT: known_nouns}
# Discs read this surely need no second look: an odd one among them may only look so, where balls among
# other solids are taken for discs.
SURE, SURE_OF_ODD = 0.5, 0.97


def recognize(task: Task) -> ClickAnswer:
    """The point to click in the task's picture, or for a named thing which of its pictures show it.

    Raises `InvalidField` for a question outside `supported()`, `InvalidImage` for pictures that it cannot be
    asked of, and `RecognitionFailed` under the threshold.
    """
    options = task.options if isinstance(task.options, ClickOptions) else ClickOptions("")
    asked = options.question
    question = understand(asked, len(task.images))
    if options.place_only and question.rule in OF_SEVERAL:
        raise InvalidField("question", got=f"{_shown(asked)}, of one picture", allowed=A_PLACE)
    one = question.rule not in OF_SEVERAL and not (question.rule in OF_EITHER and len(task.images) > 1)
    size = _checked_size(task, one=one)
    if question.rule is Rule.ALIKE and len(task.images) < FEWEST:
        got = "one picture" if len(task.images) == 1 else f"{len(task.images)} pictures"
        raise InvalidImage("images", got=got, allowed=f"at least {FEWEST} pictures for this question")
    if not one:
        if question.count and question.count >= len(task.images) > 1:
            got = f"{_shown(asked)}, of {len(task.images)} pictures"
            raise InvalidField("question", got=got, allowed=f"more than {question.count} pictures for it")
        samples = _samples(task, question)
        pictures = [shrunk(_picture(task, place).rgb) for place in range(len(task.images))]
        joint = choose_tiles(pictures, question, samples)
        return decode_tiles(joint, asked, size, task.threshold)
    if question.every:
        raise InvalidField("question", got=f"{_shown(asked)}, of one picture", allowed=ONE_OR_TILES)
    picture = _picture(task, 0)
    canvas = preprocess(picture)
    if question.attribute is not None or question.rule is Rule.NAMED_POINT:
        wanted = of_attribute(question.attribute) if question.attribute else of_noun(question.target or "")
        reading = look_for(wanted, question.rule, picture, canvas, question.count or 1)
    else:
        reading = best_reading(canvas, question)
    return decode(reading, question.rule, canvas, asked, task.threshold)


def best_reading(canvas: Canvas, question: Question) -> Reading:
    """As discs where there are some; where there are none, or they leave a doubt, as free objects too, and
    the surer one of the two."""
    count = question.count or COUNTS.get(question.rule, 1)
    # Discs of one size have no largest.
    discs = None if question.rule in SIZES else look_at_discs(canvas)
    first = None if discs is None else read(discs, question.rule, count)
    sure = SURE_OF_ODD if question.rule is Rule.ODD else SURE
    if first is not None and first.confidence >= sure:
        return first
    second = read(look_at_things(canvas), question.rule, count)
    return second if first is None or second.confidence > first.confidence else first


def understand(asked: str, pictures: int) -> Question:
    """What the question asks of so many pictures, if it can be answered here; raises `InvalidField`, which
    says why not and what can be."""
    shown = _shown(asked)
    if not asked.strip():
        raise InvalidField("question", got="an empty one", allowed=supported())
    question = parse(asked)
    if question is None:
        raise InvalidField("question", got=f"{shown}, a wording that is not known", allowed=supported())
    if question.rule is Rule.NAMED_POINT and pictures > 1:
        # Of several pictures, click on the elephant means: on those that show one.
        question = replace(question, rule=Rule.NAMED_TILES)
    if question.rule in VOCABULARIES:
        known = VOCABULARIES[question.rule]()
        if question.target in known:
            return question
        got = f"{shown}: {question.target} is not in the vocabulary"
        raise InvalidField("question", got=got, allowed=", ".join(known) or supported())
    if question.rule in (Rule.ATTRIBUTE, Rule.ALIKE) and MODEL in model_files():
        compared = question.attribute
        if compared and compared.than and compared.than not in (known := comparable(compared.name)):
            got = f"{shown}: with the {compared.name} of {compared.than} nothing can be compared"
            raise InvalidField("question", got=got, allowed=", ".join(known))
        return question
    if question.rule not in RULES:
        raise InvalidField("question", got=f"{shown}, which needs {question.rule}", allowed=supported())
    return question


def _shown(asked: str) -> str:
    return repr(asked if len(asked) <= SHOWN else asked[: SHOWN - 1] + "…")


def supported() -> str:
    """The kinds of question that are answered, in one line."""
    kinds = [str(rule) for rule in RULES]
    kinds += [f"{rule} ({len(known())} nouns)" for rule, known in VOCABULARIES.items() if known()]
    kinds += [str(rule) for rule in (Rule.ATTRIBUTE, Rule.ALIKE) if MODEL in model_files()]
    return "questions in English or Chinese for " + ", ".join(kinds)


def _samples(task: Task, question: Question) -> list[NDArray[np.uint8]]:
    """The example pictures, where the question speaks of them."""
    anchors = task.options.anchors if isinstance(task.options, ClickOptions) else ()
    if question.rule is not Rule.ALIKE:
        return []
    if not anchors:
        raise InvalidField("anchors", got="none", allowed="the example pictures that the question speaks of")
    fields = [f"anchors[{place}]" for place in range(len(anchors))]
    sizes = [images.check_header(each, task.limits, field=field)
             for each, field in zip(anchors, fields, strict=True)]  # fmt: skip
    _check_pixels("anchors", sizes, task)
    for field, (width, height) in zip(fields, sizes, strict=True):
        if min(width, height) < LEAST_TILE:
            allowed = f"at least {LEAST_TILE} pixels a side"
            raise InvalidImage(field, got=f"{width}x{height} pixels", allowed=allowed)
    return [shrunk(images.decode(each, task.limits, field=field).rgb)
            for each, field in zip(anchors, fields, strict=True)]  # fmt: skip


def _picture(task: Task, place: int) -> Picture:
    return images.decode(task.images[place], task.limits, field=_name(task, place))


def _name(task: Task, place: int) -> str:
    return "images" if len(task.images) == 1 else f"images[{place}]"


def _check_pixels(field: str, sizes: Sequence[tuple[int, int]], task: Task) -> None:
    pixels, most = sum(width * height for width, height in sizes), MOST_LARGE * task.limits.max_pixels
    if pixels > most:
        got = f"{len(sizes)} pictures of {pixels} pixels in all"
        raise InvalidImage(field, got=got, allowed=f"at most {most} pixels in all")


def _checked_size(task: Task, *, one: bool) -> tuple[int, int]:
    """Width and height of the first picture, in pixels; others may have other sizes."""
    pictures, limits = task.images, task.limits
    if len(pictures) > MOST_IMAGES:
        raise InvalidImage("images", got=f"{len(pictures)} pictures", allowed=f"at most {MOST_IMAGES}")
    headers = [
        images.check_header(each, limits, field=_name(task, place)) for place, each in enumerate(pictures)
    ]
    _check_pixels("images", headers, task)
    if len(pictures) > 1 and one:
        raise InvalidImage("images", got=f"{len(pictures)} pictures", allowed="one picture for this question")
    least = LEAST_SIDE if one else LEAST_TILE
    for place, (width, height) in enumerate(headers):
        if min(width, height) < least:
            got = f"{width}x{height} pixels, too small to see anything in"
            raise InvalidImage(_name(task, place), got=got, allowed=f"at least {least} pixels a side")
    return headers[0]
