"""`legible read`: a picture, or several for one question, read in this process without server or database."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from legible.cli.common import Failure, Json, print_json
from legible.tasks import (
    Answer,
    ArithmeticAnswer,
    ArithmeticOptions,
    ClickAnswer,
    ClickOptions,
    GridAnswer,
    GridOptions,
    Kind,
    Options,
    SliderAnswer,
    SliderOptions,
    Task,
    TextAnswer,
    TextOptions,
)

NONE = "none"  # of the tiles or pictures fits

QuestionOption = Annotated[
    str | None,
    typer.Option("--question", metavar="Q", help="What to look for (grid and click).", show_default=False),
]


def read(
    image: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE", help="PNG, JPEG, GIF, BMP or WebP; - is standard input. Several: with click."
        ),
    ],
    kind: Annotated[Kind, typer.Option("--kind", help="What the picture is.")],
    question: QuestionOption = None,
    piece: Annotated[
        Path | None,
        typer.Option(
            "--piece",
            metavar="P",
            help="The piece of a slider, when it is a picture of its own.",
            show_default=False,
        ),
    ] = None,
    anchor: Annotated[
        list[Path] | None,
        typer.Option(
            "--anchor",
            metavar="A",
            help="A sample picture that the question speaks of (click); may be given again.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="C",
            min=0,
            max=1,
            help="Confidence to refuse under; of tiles and pictures to choose, the one to choose from.",
            show_default="calibrated",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write the picture with the answer drawn on it (slider, grid and click).",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read one picture and print what it says; or of several, which of them the question means, from 0."""
    if len(image) > 1 and kind is not Kind.CLICK:
        raise typer.BadParameter(f"--kind {kind} takes one picture; got {len(image)}")
    options = options_of(kind, question, piece, anchor or ())
    task = Task(kind, tuple(map(_bytes, image)), options, threshold)
    answer = asyncio.run(_recognize(task))
    if as_json:
        print_json({"kind": kind.value} | asdict(answer))
    else:
        print(in_words(answer) or NONE)
    # Last, so that the answer is told even where this cannot be written.
    if output is not None:
        from legible.cli.overlay import draw

        draw(task.images, answer, output)


async def _recognize(task: Task) -> Answer:
    # Imported here, so that the other commands start without ONNX Runtime.
    from legible.engine.local import LocalEngine
    from legible.recognizers import available

    engine = LocalEngine(available(), workers=1)
    try:
        return await engine.recognize(task)
    finally:
        await engine.stop()


def _bytes(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise Failure(
            f"Cannot read {path} ({error.strerror}): name a picture that this user may read."
        ) from None


def options_of(
    kind: Kind, question: str | None, piece: Path | None = None, anchors: Sequence[Path] = ()
) -> Options:
    """What the command line knows of the picture. Raises `typer.BadParameter` for what does not fit."""
    if piece is not None and kind is not Kind.SLIDER:
        raise typer.BadParameter(f"--piece goes with --kind slider, not {kind}")
    if question is not None and kind not in (Kind.GRID, Kind.CLICK):
        raise typer.BadParameter(f"--question goes with --kind grid or click, not {kind}")
    if anchors and kind is not Kind.CLICK:
        raise typer.BadParameter(f"--anchor goes with --kind click, not {kind}")
    match kind:
        case Kind.TEXT:
            return TextOptions()
        case Kind.ARITHMETIC:
            return ArithmeticOptions()
        case Kind.SLIDER:
            return SliderOptions(None if piece is None else _bytes(piece))
    if question is None:
        raise typer.BadParameter(f"--kind {kind} needs --question, for example: --question 'traffic lights'")
    if kind is Kind.GRID:
        return GridOptions(question)
    return ClickOptions(question, tuple(map(_bytes, anchors)))


def in_words(answer: Answer) -> str:
    """The answer on one line: the text, the gap's left edge, the tiles or pictures from 0, or the points to
    click."""
    match answer:
        case TextAnswer(text=text) | ArithmeticAnswer(text=text):
            return text
        case SliderAnswer(box=(x, *_)):
            return str(x)
        case GridAnswer(objects=tiles):
            return " ".join(map(str, tiles))
        case ClickAnswer(point=tuple() as point, points=points):
            return ", ".join(f"{x} {y}" for x, y in points or (point,))
        case ClickAnswer(objects=objects):
            return " ".join(str(index) for index, fits in enumerate(objects) if fits)
