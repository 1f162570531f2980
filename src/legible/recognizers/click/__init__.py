"""Click the object: a question in words about a scene, answered by rules over the objects that are found in it."""

from legible import images
from legible.errors import InvalidField, InvalidImage
from legible.recognizers.click.decode import decode
from legible.recognizers.click.model import look, look_at_things
from legible.recognizers.click.preprocess import preprocess
from legible.recognizers.click.questions import Question, parse
from legible.recognizers.click.rules import RULES
from legible.recognizers.click.wordings import Rule
from legible.tasks import ClickAnswer, ClickOptions, Task

MOST_IMAGES = 16
SHOWN = 120
SIZES = (Rule.LARGEST, Rule.SMALLEST)


def recognize(task: Task) -> ClickAnswer:
    """The point to click in the task's picture.

    Raises `InvalidField` for a question outside `supported()`, `InvalidImage` for pictures that it cannot be asked of,
    and `RecognitionFailed` under the threshold.
    """
    asked = task.options.question if isinstance(task.options, ClickOptions) else ""
    question = understand(asked)
    _check_images(task.images)
    canvas = preprocess(images.decode(task.images[0]))
    # Discs of one size have no largest.
    view = look_at_things(canvas) if question.rule in SIZES else look(canvas)
    choice = RULES[question.rule](view, question.count or 1)
    return decode(choice, view, question.rule, canvas, asked, task.threshold)


def understand(asked: str) -> Question:
    """What the question asks, if it can be answered here; raises `InvalidField`, which says why not and what can be."""
    shown = repr(asked if len(asked) <= SHOWN else asked[: SHOWN - 1] + "…")
    if not asked.strip():
        raise InvalidField("question", got="an empty one", allowed=supported())
    question = parse(asked)
    if question is None:
        raise InvalidField("question", got=f"{shown}, a wording that is not known", allowed=supported())
    if question.rule in (Rule.NAMED_TILES, Rule.NAMED_POINT):
        got = f"{shown}: naming objects ({question.target}) is not available yet"
        raise InvalidField("question", got=got, allowed=supported())
    if question.rule not in RULES:
        raise InvalidField("question", got=f"{shown}, which needs {question.rule}", allowed=supported())
    return question


def supported() -> str:
    """The kinds of question that are answered, in one line."""
    return "questions in English or Chinese for " + ", ".join(RULES)


def _check_images(pictures: tuple[bytes, ...]) -> None:
    if len(pictures) > MOST_IMAGES:
        raise InvalidImage("images", got=f"{len(pictures)} pictures", allowed=f"at most {MOST_IMAGES}")
    sizes = sorted({images.check_header(each) for each in pictures})
    if len(sizes) > 1:
        got = "pictures of " + " and ".join(f"{width}x{height}" for width, height in sizes[:3]) + " pixels"
        raise InvalidImage("images", got=got, allowed="pictures of one size")
    if len(pictures) != 1:
        raise InvalidImage("images", got=f"{len(pictures)} pictures", allowed="one picture for this question")
