"""Log lines: one JSON object each (or plain words on a terminal), with the trace id, never with an image,
key or password."""

import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import structlog

KEY = re.compile(r"lg_[A-Za-z0-9_-]{8,}")
SECRET_FIELDS = frozenset({"key", "api_key", "authorization", "password", "image", "images", "body"})
LONGEST = 8_000
OURS = "legible"


def configure(level: str) -> None:
    """Sets up structlog, and the few lines that libraries send to Python's own logging, for this process."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso", utc=True),
    ]
    # Plain tracebacks: the pretty ones print local variables, and those hold images and keys.
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if sys.stderr.isatty()
        else [structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, hide_secrets, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=StandardError,
        cache_logger_on_first_use=True,
    )
    _adopt_library_lines(shared, last, level)


def hide_keys(text: str) -> str:
    """The text without API keys, which may be percent-encoded once more than usual."""
    if "%" in text and KEY.search(unquote(unquote(text))) and not KEY.search(text):
        return "(hidden)"
    return KEY.sub("lg_(hidden)", text)


class StandardError:
    """Writes a finished line to whatever standard error is at that moment.

    A line that cannot be written (its disk is full, its reader has gone) is lost: no call may suffer for it.
    """

    def __init__(self, *_: object) -> None: ...

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")

    debug = info = warning = error = critical = msg


def _adopt_library_lines(
    shared: list[structlog.typing.Processor], last: list[structlog.typing.Processor], level: str
) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                hide_secrets,
                *last,
            ],
        )
    )
    uvicorn, root = logging.getLogger("uvicorn"), logging.getLogger()
    uvicorn.handlers, uvicorn.propagate = [handler], False
    uvicorn.setLevel(level.upper())
    # What other libraries complain about is a line like ours, too.
    handler.name = OURS
    root.handlers = [each for each in root.handlers if each.name != OURS] + [handler]


def hide_secrets(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Nothing that opens a door or shows a stranger's picture gets into a log,
    wherever in a line it stands."""
    for name, value in line.items():
        if name in SECRET_FIELDS:
            line[name] = "(hidden)"
        elif isinstance(value, str):
            line[name] = hide_keys(value[:LONGEST])
        elif isinstance(value, bytes):
            line[name] = f"({len(value)} bytes)"
    return line
