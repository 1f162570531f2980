"""The createTask family's words to ours and back: pure functions, and one table from refusal to error."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any, NamedTuple

from legible.dialects.createtask.schemas import (
    REQUESTS,
    AnyRequest,
    AnyTask,
    ComplexImageTask,
    CoordinatesTask,
    CreateTaskRequest,
    GridTask,
    HCaptchaClassification,
    ImageToCoordinatesTask,
    ImageToTextTask,
    Named,
    ReCaptchaV2Classification,
    VisionEngine,
)
from legible.dialects.edge import row_of, row_of_type, sentence, shown, to_json
from legible.dialects.inputs import (
    CHARSETS,
    LONGEST_TEXT,
    click_options,
    grid_image,
    grid_options,
    image_bytes,
    image_list,
)
from legible.errors import (
    BadRequest,
    BodyTooLarge,
    Broken,
    EmptyImage,
    ImageTooLarge,
    InsufficientCredit,
    InvalidField,
    InvalidImage,
    NotAllowed,
    NotAvailable,
    NotFound,
    NotOffered,
    RateLimited,
    RecognitionFailed,
    Refusal,
    TimedOut,
    Unauthenticated,
    Unavailable,
    WrongMethod,
)
from legible.images import check_header
from legible.journal import Receipt
from legible.money import yuan
from legible.tasks import (
    Answer,
    ArithmeticAnswer,
    ArithmeticOptions,
    ClickAnswer,
    GridAnswer,
    ImageLimits,
    Kind,
    SliderAnswer,
    SliderOptions,
    Task,
    TextAnswer,
    TextOptions,
)


class Row(NamedTuple):
    """What their clients get for a refusal."""

    error_id: int
    code: str


# The names and numbers that most of the vendors share; where they have none, those of the one that has.
REFUSALS: Mapping[type[Refusal], Row] = {
    Unauthenticated: Row(1, "ERROR_KEY_DOES_NOT_EXIST"),
    NotAllowed: Row(1, "ERROR_KEY_DENIED_ACCESS"),
    RateLimited: Row(2, "ERROR_TOO_MUCH_REQUESTS"),
    Unavailable: Row(2, "ERROR_NO_SLOT_AVAILABLE"),
    Refusal: Row(2, "ERROR_SERVICE_UNAVALIABLE"),  # spelled so
    EmptyImage: Row(3, "ERROR_ZERO_CAPTCHA_FILESIZE"),
    ImageTooLarge: Row(4, "ERROR_TOO_BIG_CAPTCHA_FILESIZE"),
    BodyTooLarge: Row(4, "ERROR_TOO_BIG_CAPTCHA_FILESIZE"),
    InsufficientCredit: Row(10, "ERROR_ZERO_BALANCE"),
    RecognitionFailed: Row(12, "ERROR_CAPTCHA_UNSOLVABLE"),
    TimedOut: Row(12, "ERROR_TASK_TIMEOUT"),
    WrongMethod: Row(14, "ERROR_NO_SUCH_METHOD"),
    InvalidImage: Row(15, "ERROR_IMAGE_TYPE_NOT_SUPPORTED"),
    NotFound: Row(16, "ERROR_NO_SUCH_CAPCHA_ID"),  # spelled so
    NotOffered: Row(23, "ERROR_TASK_NOT_SUPPORTED"),
    NotAvailable: Row(23, "ERROR_TASK_NOT_SUPPORTED"),
    BadRequest: Row(110, "ERROR_BAD_PARAMETERS"),
}
OTHER_KEYS = {
    "address": Row(11, "ERROR_IP_NOT_ALLOWED"),
    "account_disabled": Row(55, "ERROR_ACCOUNT_SUSPENDED"),
}
NO_TASK = Row(22, "ERROR_TASK_ABSENT")
# The types of vendors whose clients poll, softId or not.
POLLED = ("CoordinatesTask", "GridTask", "ImageToCoordinatesTask", "ComplexImageTask")
# What recognizers call the fields of each type.
NAMES: Mapping[type[AnyTask], Mapping[str, str]] = {
    ImageToTextTask: {"image": "task.body"},
    ReCaptchaV2Classification: {"image": "task.image", "question": "task.question"},
    GridTask: {"image": "task.body", "question": "task.comment"},
    HCaptchaClassification: {
        "images": "task.queries",
        "question": "task.question",
        "anchors": "task.anchors",
    },
    CoordinatesTask: {"images": "task.body", "question": "task.comment"},
    VisionEngine: {"image": "task.imageBackground", "piece": "task.image"},
    ImageToCoordinatesTask: {"images": "task.body", "question": "task.comment"},
    ComplexImageTask: {"image": "task.imagesBase64[0]", "question": "task.metadata"},
}
TILES = {100: 1, 300: 3, 450: 4}  # a side, by its pixels
CHARSET_OF = {1: CHARSETS["digits"], 2: CHARSETS["letters"]}


def request_of(asked: AnyRequest[Named]) -> type[CreateTaskRequest[Any]]:
    """The request for that type of task; raises `NotOffered`, which says why."""
    if asked.task.type not in REQUESTS:
        raise NotOffered(
            f"task.type: got {shown(asked.task.type)}; allowed: {', '.join(REQUESTS)}. "
            "This service reads the picture that is in the request; a task that needs a browser, a site key, "
            "a proxy or a token is not offered, on purpose"
        )
    return REQUESTS[asked.task.type]


def polls(asked: AnyRequest[Named]) -> bool:
    """Whether the client asks /getTaskResult for the solution, and does not expect it at once."""
    return asked.soft_id is not None or asked.task.type in POLLED


def task_of(task: AnyTask, limits: ImageLimits, max_queries: int) -> Task:
    match task:
        case ImageToTextTask():
            return _text_task(task, image_bytes(task.body, limits, field="task.body"))
        case ReCaptchaV2Classification():
            options = grid_options(task.question, task.top, field="task.question")
            image = grid_image(task.image, limits, field="task.image")
            return Task(Kind.GRID, (image,), options, task.confidence)
        case GridTask():
            return _grid_task(task, limits)
        case HCaptchaClassification():
            images = image_list("task.queries", task.queries, limits, max_queries)
            anchors = image_list("task.anchors", task.anchors or [], limits, max_queries)
            return Task(Kind.CLICK, images, click_options(task.question, anchors), task.confidence)
        case CoordinatesTask():
            example = task.img_instructions
            anchors = (image_bytes(example, limits, field="task.imgInstructions"),) if example else ()
            image = image_bytes(task.body, limits, field="task.body")
            asked = click_options(task.comment, anchors, place_only=True)
            return Task(Kind.CLICK, (image,), asked, task.confidence)
        case ImageToCoordinatesTask():
            image = image_bytes(task.body, limits, field="task.body")
            asked = click_options(task.comment, (), place_only=True)
            return Task(Kind.CLICK, (image,), asked, task.confidence)
        case ComplexImageTask():
            return _complex_task(task, limits)
        case VisionEngine():
            piece = image_bytes(task.image, limits, field="task.image") if task.image else None
            image = image_bytes(task.image_background, limits, field="task.imageBackground")
            return Task(Kind.SLIDER, (image,), SliderOptions(piece), task.confidence)


def _text_task(task: ImageToTextTask, image: bytes) -> Task:
    percent = task.recognizing_threshold
    given = (task.confidence, task.score, None if percent is None else percent / 100)
    threshold = next((each for each in given if each is not None), None)
    if task.math:
        return Task(Kind.ARITHMETIC, (image,), ArithmeticOptions(), threshold)
    shortest, longest = task.min_length or 1, min(task.max_length or LONGEST_TEXT, LONGEST_TEXT)
    if shortest > longest:
        allowed = f"at most task.maxLength, which is {longest}"
        raise InvalidField("task.minLength", got=str(shortest), allowed=allowed)
    options = TextOptions(CHARSET_OF.get(task.numeric or 0), shortest, longest)
    return Task(Kind.TEXT, (image,), options, threshold)


def _grid_task(task: GridTask, limits: ImageLimits) -> Task:
    options = grid_options(task.comment, None, field="task.comment")
    image = grid_image(task.body, limits, field="task.body")
    width, _ = check_header(image, limits)
    for name, got in (("rows", task.rows), ("columns", task.columns)):
        _check_has(f"task.{name}", got, TILES[width], width)
    return Task(Kind.GRID, (image,), options, task.confidence)


def _complex_task(task: ComplexImageTask, limits: ImageLimits) -> Task:
    asked = task.metadata.task_definition or task.metadata.task or ""
    options = grid_options(asked, None, field="task.metadata")
    image = grid_image(task.images_base64[0], limits, field="task.imagesBase64[0]")
    width, _ = check_header(image, limits)
    _check_has("task.metadata.Grid", task.metadata.grid, f"{TILES[width]}x{TILES[width]}", width)
    return Task(Kind.GRID, (image,), options, task.confidence)


def _check_has(field: str, got: object, has: object, width: int) -> None:
    """Raises `InvalidField` for a grid that a picture of that width does not have."""
    if got not in (None, has):
        allowed = f"{has}, which a picture of {width}x{width} pixels has, or nothing"
        raise InvalidField(field, got=str(got), allowed=allowed)


@dataclass(frozen=True, slots=True)
class Asker:
    """Which task was asked for, its id, and the address it came from."""

    task: AnyTask
    task_id: str
    address: str


def success(answer: Answer, asker: Asker, receipt: Receipt) -> bytes:
    """A good answer with all that any of the replies needs: this is what is kept."""
    return to_json(
        {
            "errorId": 0,
            "taskId": asker.task_id,
            "status": "ready",
            "solution": _solution(asker.task, answer),
            "cost": yuan(receipt.cost_micros),
            "ip": asker.address,
            "createTime": int(receipt.started_at.timestamp()),
            "endTime": int(receipt.finished_at.timestamp()),
            "solveCount": 1,
        }
    )


def _solution(task: AnyTask, answer: Answer) -> dict[str, object]:
    confidence: dict[str, object] = {"confidence": round(answer.confidence, 4)}
    match answer:
        case TextAnswer():
            return {"text": answer.text} | confidence
        case ArithmeticAnswer():
            return {"text": answer.text, "expression": answer.expression} | confidence
        case GridAnswer() if isinstance(task, GridTask):
            return {"click": [tile + 1 for tile in answer.objects]} | confidence
        case GridAnswer() if isinstance(task, ComplexImageTask):
            return {
                "answer": [tile in answer.objects for tile in range(len(answer.confidences))]
            } | confidence
        case GridAnswer():
            return _classification(answer)
        case ClickAnswer() if isinstance(task, CoordinatesTask | ImageToCoordinatesTask):
            points = answer.points or ((answer.point,) if answer.point else ())
            as_pairs = isinstance(task, ImageToCoordinatesTask)
            return {"coordinates": [[x, y] if as_pairs else {"x": x, "y": y} for x, y in points]} | confidence
        case ClickAnswer(point=(x, y)):
            solution = {"box": [x, y], "imageSize": list(answer.size), "label": answer.label} | confidence
            return solution | ({"points": [list(each) for each in answer.points]} if answer.points else {})
        case ClickAnswer():
            return {"objects": list(answer.objects), "confidences": list(answer.confidences)}
        case SliderAnswer():
            return {"distance": answer.box[0] - (answer.piece_x or 0), "box": list(answer.box)} | confidence


def _classification(answer: GridAnswer) -> dict[str, object]:
    single = len(answer.confidences) == 1
    solution: dict[str, object] = {
        "type": "single" if single else "multi",
        "size": isqrt(len(answer.confidences)),
        "label": answer.label,
        "objects": list(answer.objects),
        "confidences": [round(confidence, 4) for confidence in answer.confidences],
    }
    return solution | {"hasObject": bool(answer.objects)} if single else solution


def created(reply: bytes) -> bytes | None:
    """What createTask answers at once, None for an error: no field more, since some clients take no other."""
    kept = json.loads(reply)
    if kept["errorId"]:
        return None
    return to_json(
        {
            "errorId": 0,
            "errorCode": "",
            "errorDescription": "",
            "taskId": kept["taskId"],
            "status": kept["status"],
            "solution": kept["solution"],
        }
    )


def started(task_id: str) -> bytes:
    """What createTask answers a client that polls: a number, and no field more."""
    return to_json({"errorId": 0, "taskId": int(task_id)})


def task_state(reply: bytes | None, trace_id: str) -> bytes:
    """What a poll is told: `reply` is what was kept, None while it runs, and empty when it was lost.
    Without the id, which clients that poll add themselves."""
    if reply is None:
        return to_json({"errorId": 0, "status": "processing"})
    if not reply:
        return failure(Broken(), trace_id)
    return to_json({name: value for name, value in json.loads(reply).items() if name != "taskId"})


def reported() -> bytes:
    """What is told to who says that a solution was right or wrong."""
    return to_json({"errorId": 0, "status": "success"})


def balance(micros: int) -> bytes:
    # The amount is written as it is: it never passes through a float.
    return f'{{"errorId":0,"balance":{yuan(micros)}}}'.encode()


def status_of(_: Refusal) -> int:
    """The HTTP status of every reply."""
    return 200


def row(refusal: Refusal) -> Row:
    match refusal:
        case InvalidField(field="task"):
            return NO_TASK
        case InvalidField(field="method"):
            return REFUSALS[WrongMethod]
        case Unauthenticated() if refusal.reason in OTHER_KEYS:
            return OTHER_KEYS[refusal.reason]
    return row_of(REFUSALS, refusal)


def codes(leaf: type[Refusal]) -> list[str]:
    """All that a refusal may be called, the usual one first."""
    rows = [row_of_type(REFUSALS, leaf)]
    rows += [each for kind, each in REFUSALS.items() if issubclass(kind, leaf) and kind.code == leaf.code]
    if leaf is Unauthenticated:
        rows += OTHER_KEYS.values()
    if leaf is BadRequest:
        rows += NO_TASK, REFUSALS[WrongMethod]
    return list(dict.fromkeys(each.code for each in rows))


def failure(refusal: Refusal, trace_id: str) -> bytes:
    """The body of every error."""
    error_id, code = row(refusal)
    said = f"{sentence(refusal)} (trace_id {trace_id})"
    return to_json({"errorId": error_id, "errorCode": code, "errorDescription": said})
