"""Ace Data Cloud's words to ours and back: pure functions, and one table from refusal to status and code."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from legible.dialects.acedata.schemas import HcaptchaRequest, Image2TextRequest, Recaptcha2Request
from legible.dialects.edge import row_of, sentence, to_json
from legible.dialects.inputs import (
    click_options,
    grid_image,
    grid_options,
    image_bytes,
    image_list,
    text_options,
)
from legible.errors import (
    BadRequest,
    BodyTooLarge,
    Broken,
    InsufficientCredit,
    NotAllowed,
    NotFound,
    NotOffered,
    RateLimited,
    RecognitionFailed,
    Refusal,
    TimedOut,
    Unauthenticated,
)
from legible.tasks import Answer, ClickAnswer, GridAnswer, ImageLimits, Kind, Task, TextAnswer

# What recognizers call the pictures of hcaptcha.
NAMES = {"images": "queries"}


class Row(NamedTuple):
    """What their clients get for a refusal."""

    status: int
    code: str


REFUSALS: Mapping[type[Refusal], Row] = {
    BadRequest: Row(400, "bad_request"),
    BodyTooLarge: Row(413, "bad_request"),
    NotOffered: Row(400, "api_not_implemented"),
    NotAllowed: Row(400, "token_mismatched"),
    RecognitionFailed: Row(400, "recognition_failed"),
    Unauthenticated: Row(401, "invalid_token"),
    InsufficientCredit: Row(403, "used_up"),
    NotFound: Row(404, "no_api"),
    RateLimited: Row(429, "too_many_requests"),
    TimedOut: Row(504, "timeout"),
    Refusal: Row(500, "api_error"),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """When a call started and finished (UTC), and the id it is found by."""

    trace_id: str
    started: datetime
    finished: datetime

    def fields(self) -> dict[str, object]:
        return {
            "success": True,
            "trace_id": self.trace_id,
            "started_at": _iso(self.started),
            "finished_at": _iso(self.finished),
            "elapsed": round((self.finished - self.started).total_seconds(), 3),
        }


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text_task(body: Image2TextRequest, limits: ImageLimits) -> Task:
    options = text_options(body)
    return Task(Kind.TEXT, (image_bytes(body.image, limits),), options, body.confidence)


def grid_task(body: Recaptcha2Request, limits: ImageLimits) -> Task:
    options = grid_options(body.question, body.top)
    return Task(Kind.GRID, (grid_image(body.image, limits),), options, body.confidence)


def click_task(body: HcaptchaRequest, limits: ImageLimits, max_queries: int) -> Task:
    images = image_list("queries", body.queries, limits, max_queries)
    anchors = image_list("anchors", body.anchors or [], limits, max_queries)
    return Task(Kind.CLICK, images, click_options(body.question, anchors), body.confidence)


def success(answer: Answer, moment: Moment, *, top_left: bool = False) -> dict[str, object]:
    """The body of a good answer. `top_left` counts `box` from there instead of the documented lower left
    corner."""
    match answer:
        case TextAnswer():
            return {"text": answer.text} | moment.fields()
        case GridAnswer():
            return {"solution": _grid_solution(answer)} | moment.fields()
        case ClickAnswer():
            return {"solution": _click_solution(answer, top_left)} | moment.fields()
    raise TypeError(f"this dialect has no reply for {type(answer).__name__}")


def _grid_solution(answer: GridAnswer) -> dict[str, object]:
    single = len(answer.confidences) == 1
    solution: dict[str, object] = {
        "size": answer.size,
        "label": answer.label,
        "confidences": [round(confidence, 4) for confidence in answer.confidences],
        "objects": list(answer.objects),
        "type": "single" if single else "multi",
    }
    return solution | {"hasObject": bool(answer.objects)} if single else solution


def _click_solution(answer: ClickAnswer, top_left: bool) -> dict[str, object]:
    if answer.point is None:
        return {
            "label": answer.label,
            "confidences": list(answer.confidences),
            "objects": list(answer.objects),
        }
    x, y = answer.point
    return {
        "label": answer.label,
        # The vendor's documents count from the lower left corner; the rest of the industry from the top left.
        "box": [str(x), str(y if top_left else answer.size[1] - y)],
        "confidences": answer.confidence,
        "origin": "top-left" if top_left else "bottom-left",
        "point": {"x": x, "y": y},
    } | ({"points": [{"x": x, "y": y} for x, y in answer.points]} if answer.points else {})


def status_of(refusal: Refusal) -> int:
    return row_of(REFUSALS, refusal).status


def failure(refusal: Refusal, trace_id: str) -> dict[str, object]:
    """The body of every error."""
    error = {"code": row_of(REFUSALS, refusal).code, "message": sentence(refusal)}
    return {"success": False, "error": error, "trace_id": trace_id}


def task_state(task_id: str, body: bytes | None, trace_id: str) -> bytes:
    """What a poll is told: `body` is the reply to the call, None while it runs,
    and empty when it was lost."""
    if body is None:
        return to_json({"success": True, "task_id": task_id, "status": "processing"})
    reply = json.loads(body) if body else failure(Broken(), trace_id)
    return to_json(reply | {"task_id": task_id, "status": "ready"})
