"""What the console knows of each kind: its words, its samples, and how it is asked for in each dialect.

A page shows only the kinds that the engine has; a new recognizer appears by itself.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from legible.console.i18n import mark
from legible.tasks import Kind

DIALECTS = {
    "acedata": "Ace Data Cloud",
    "captchaapi": "captchaapi.com",
    "createtask": "createTask",
    "v1": "Legible v1",
}


@dataclass(frozen=True, slots=True)
class Option:
    """A field of the request that the user may fill; `field` is its name in the body."""

    field: str
    label: str
    hint: str = ""
    type: Literal["text", "number", "choice", "image"] = "text"
    choices: tuple[str, ...] = ()
    value: str = ""
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One way to ask. In `body`, "@image" is the picture in base64, "@images" a list of them, "@piece" that
    of a slider's piece, "@key" the key where no header has it, "@option" what the user filled in for that
    field; all else that the user filled in is added at "@options" or, without that, at the top."""

    dialect: str
    path: str
    body: dict[str, object]
    key_header: str | None
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture in `static/samples/` that our generators drew, and what it says. `values` fill options, a
    question in the visitor's language; `files` those options that are pictures, too."""

    file: str
    truth: str
    values: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KindPage:
    kind: Kind
    name: str
    about: str
    limits: str
    operations: tuple[Operation, ...]
    samples: tuple[Sample, ...] = ()


BEARER = "authorization"
THRESHOLD = Option(
    "confidence",
    mark("Least confidence"),
    mark("0 to 1. Under it the answer is “not readable”, for free. Empty: the calibrated one."),
    "number",
)
GRID_THRESHOLD = replace(
    THRESHOLD,
    hint=mark(
        "0 to 1. Every tile at or over it is answered, and charged even if there is none. "
        "Empty: the likeliest tiles."
    ),
)
CLICK_THRESHOLD = replace(
    THRESHOLD,
    hint=mark(
        "0 to 1. Under it the answer is “not readable”, for free; of several pictures, each one at or over "
        "it is answered, and charged even if there is none. Empty: the calibrated one."
    ),
)
TEXT_OPTIONS = (
    Option(
        "charset", mark("Characters"), mark("digits, letters, lower, upper, or the characters themselves")
    ),
    Option("min_length", mark("Least length"), type="number"),
    Option("max_length", mark("Most length"), type="number"),
    Option("case", mark("Case"), type="choice", choices=("keep", "lower", "upper")),
)
CREATETASK_TEXT_OPTIONS = (
    Option("numeric", mark("Characters"), mark("1: only digits. 2: only letters."), "number"),
    Option("minLength", mark("Least length"), type="number"),
    Option("maxLength", mark("Most length"), type="number"),
)
PIECE = Option("piece", mark("Picture of the piece"), mark("Optional; it makes the answer surer."), "image")
GRID_OPTIONS = (
    Option("question", mark("Question"), mark("An id like /m/01pns0, or a name"), is_required=True),
    Option("top", mark("This many best tiles"), type="number"),
)
CLICK_QUESTION = Option("question", mark("Question"), mark("In English or Chinese"), is_required=True)


def _acedata(path: str, body: dict[str, object], *options: Option) -> Operation:
    return Operation("acedata", f"/captcha/recognition/{path}", body, BEARER, options)


def _captchaapi(type_id: int, *options: Option) -> Operation:
    body: dict[str, object] = {"image": "@image", "type": type_id}
    return Operation("captchaapi", "/api/v1/captcha.php", body, "x-api-key", options)


def _createtask(type_: str, fields: dict[str, object], *options: Option) -> Operation:
    task: dict[str, object] = {"type": type_, **fields, "@options": None}
    return Operation("createtask", "/createTask", {"clientKey": "@key", "task": task}, None, options)


def _v1(kind: str, *options: Option, threshold: Option = THRESHOLD) -> Operation:
    pictures = {"images": "@images"} if kind == "click" else {"image": "@image"}
    body: dict[str, object] = {"kind": kind, **pictures}
    body |= {"options": {"@options": None}} if options else {}
    body |= {"threshold": "@option"}
    return Operation(
        "v1", "/v1/recognitions", body, BEARER, (*options, replace(threshold, field="threshold"))
    )


KINDS = {
    page.kind: page
    for page in (
        KindPage(
            Kind.TEXT,
            mark("Text"),
            mark("Letters and digits in a picture, case kept."),
            mark(
                "English letters and digits. Chinese characters and handwriting are refused or read wrongly."
            ),
            (
                _acedata("image2text", {"image": "@image"}, *TEXT_OPTIONS, THRESHOLD),
                _captchaapi(50200, *TEXT_OPTIONS, THRESHOLD),
                _createtask("ImageToTextTask", {"body": "@image"}, *CREATETASK_TEXT_OPTIONS, THRESHOLD),
                _v1("text", *TEXT_OPTIONS),
            ),
            (
                Sample("text-1.png", "8932"),
                Sample("text-2.png", "bOFZj2"),
                Sample("text-3.png", "s3s9hx"),
                Sample("text-4.png", "TxIAxW"),
            ),
        ),
        KindPage(
            Kind.ARITHMETIC,
            mark("Arithmetic"),
            mark("A sum in a picture; the answer is its value."),
            mark("Plus, minus, times and divided, with numbers up to 9999, or up to 99 in Chinese."),
            (
                _captchaapi(50100, THRESHOLD),
                _createtask("ImageToTextTask", {"body": "@image", "math": True}, THRESHOLD),
                _v1("arithmetic"),
            ),
            (
                Sample("arithmetic-1.png", "65"),
                Sample("arithmetic-2.png", "6"),
                Sample("arithmetic-3.png", "2"),
            ),
        ),
        KindPage(
            Kind.SLIDER,
            mark("Slider"),
            mark("The gap that a puzzle piece belongs in, as its distance from the left edge."),
            mark("One gap that the piece fits. Among look-alike gaps, send the piece as well."),
            (
                _captchaapi(10200, PIECE, THRESHOLD),
                _createtask(
                    "VisionEngine",
                    {"module": "slider_1", "image": "@piece", "imageBackground": "@image"},
                    PIECE,
                    THRESHOLD,
                ),
                _v1("slider", PIECE),
            ),
            (
                Sample("slider-1.jpg", "435", files={"piece": "slider-1-piece.png"}),
                Sample("slider-2.jpg", "223"),
                Sample("slider-3.jpg", "164"),
            ),
        ),
        KindPage(
            Kind.GRID,
            mark("Image grid"),
            mark("Which tiles of a grid show the object that is asked for."),
            mark("Pictures of 100, 300 or 450 pixels a side, and the 17 objects of the reference page."),
            (
                _acedata("recaptcha2", {"image": "@image"}, *GRID_OPTIONS, GRID_THRESHOLD),
                _createtask("ReCaptchaV2Classification", {"image": "@image"}, *GRID_OPTIONS, GRID_THRESHOLD),
                _v1("grid", *GRID_OPTIONS, threshold=GRID_THRESHOLD),
            ),
            (
                Sample("grid-1.webp", "2, 4, 8", {"question": "/m/014xcs"}),
                Sample("grid-2.webp", "1, 6, 8", {"question": "/m/015qff"}),
                Sample("grid-3.webp", "1, 2, 5, 6, 9, 10, 13, 14", {"question": "/m/01pns0"}),
            ),
        ),
        KindPage(
            Kind.CLICK,
            mark("Click the object"),
            mark("The point to click for a question about the picture."),
            mark("Odd one out, pairs, largest and smallest, and a list of named objects."),
            (
                _acedata(
                    "hcaptcha",
                    {"queries": "@images"},
                    CLICK_QUESTION,
                    Option("origin", mark("Origin"), type="choice", choices=("bottom-left", "top-left")),
                    CLICK_THRESHOLD,
                ),
                _createtask(
                    "HCaptchaClassification", {"queries": "@images"}, CLICK_QUESTION, CLICK_THRESHOLD
                ),
                _v1("click", CLICK_QUESTION, threshold=CLICK_THRESHOLD),
            ),
            (
                Sample(
                    "click-1.webp",
                    "374, 152",
                    {"question": mark("Please click on the object that appears only once")},
                ),
                Sample(
                    "click-2.webp",
                    "246, 308",
                    {
                        "question": mark(
                            "Please click the center of a circle where all the shapes are of the same color"
                        )
                    },
                ),
                Sample("click-3.webp", "133, 266", {"question": mark("Please click on the largest object")}),
            ),
        ),
    )
}


def known(text: str) -> Kind | None:
    """The kind of that name, if there is one."""
    return Kind(text) if text in KINDS else None


def name(kind: str | None) -> str:
    """The name of a kind, still to be translated; a dash for a call refused before its kind was known."""
    return KINDS[Kind(kind)].name if kind else "–"


def offered(kinds: Iterable[Kind]) -> list[KindPage]:
    """The pages of the kinds that the engine has, in our order."""
    available = set(kinds)
    return [page for kind, page in KINDS.items() if kind in available]


def as_json(page: KindPage, translate: Callable[[str], str]) -> dict[str, object]:
    """For the page's script, in the visitor's language."""

    def said(sentence: str) -> str:
        return translate(sentence) if sentence else ""

    samples = [
        replace(each, values={name: said(value) for name, value in each.values.items()})
        for each in page.samples
    ]
    operations = [
        replace(
            operation,
            options=tuple(replace(o, label=said(o.label), hint=said(o.hint)) for o in operation.options),
        )
        for operation in page.operations
    ]
    return asdict(replace(page, samples=tuple(samples), operations=tuple(operations)))
