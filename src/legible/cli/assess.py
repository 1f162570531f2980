"""`legible assess`: how legible a challenge is to a machine, from a folder of its pictures."""

import asyncio
import base64
import io
import itertools
import math
import os
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from legible.cli.common import Failure, Json, print_json, print_table
from legible.cli.read import NONE, QuestionOption, in_words, options_of
from legible.errors import RecognitionFailed, Refusal
from legible.tasks import (
    Answer,
    ArithmeticAnswer,
    ClickAnswer,
    GridAnswer,
    Kind,
    SliderAnswer,
    SliderOptions,
    Task,
)

LABELS = "labels.tsv"
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"}
NEAR_PX = 5  # a slider's gap is found when its left edge is at most so far off
NEAR_POINT_PX = 15  # an object is hit when what to click is at most so far from the right point
LEAST = (0.0, 0.3, 0.5, 0.7, 0.9)  # confidences to answer from
BROKEN = 0.01  # Bursztein, Martin and Mitchell, "Text-based CAPTCHA Strengths and Weaknesses", 2011
THUMBNAIL_PX = 320
NUMBERS = re.compile(r"[\d\s.,]+")  # a column of more tiles, and not a remark
SHOWN = 5  # files that a sentence names


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the challenge, and its right answer where somebody wrote that down."""

    file: Path
    want: str | None
    piece: Path | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in it (None: nothing), how surely (0-1), and whether that was `right` (None: unknown)."""

    picture: Picture
    answer: Answer | None
    confidence: float
    right: bool | None

    @property
    def said(self) -> str:
        return "" if self.answer is None else in_words(self.answer)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that no answer can be had for, and why."""

    picture: Picture
    why: str


@dataclass(frozen=True, slots=True)
class Share:
    """How many of `n` readings are `answered` from a confidence on, and how many `right`: counted with
    labels, else the sum of their confidences."""

    n: int
    answered: int
    right: float

    @classmethod
    def of(cls, readings: Sequence[Reading], least: float = 0.0) -> "Share":
        answered = [each for each in readings if each.answer is not None and each.confidence >= least]
        known = [each.confidence if each.right is None else float(each.right) for each in answered]
        return cls(len(readings), len(answered), sum(known))


def assess(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Its pictures, in folders of their own if there are several designs. "
            f"A {LABELS} in a folder names those to read: file, tab, right answer; and for a slider whose "
            "piece is a picture of its own: tab, its file.",
        ),
    ],
    kind: Annotated[Kind, typer.Option("--kind", help="What the pictures are.")],
    question: QuestionOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write a page with every picture, surest first.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell how legible a challenge of yours is to a machine: how many of its pictures are read, and which.

    Right answers are written as `legible read` prints them: tiles and pictures are counted from 0. The case
    of letters does not count, the gap of a slider may be 5 pixels off, and a point to click 15.
    """
    options = options_of(kind, question)
    pictures = challenge(folder, kind)
    # Where there are tiles to choose, a threshold would choose them; elsewhere the likeliest answer is
    # wanted, however unsure.
    threshold = None if kind is Kind.GRID or _is_about_tiles(kind, question) else 0.0

    def ask(picture: Picture) -> Task:
        own = options if picture.piece is None else SliderOptions(_bytes(picture.piece))
        return Task(kind, (_bytes(picture.file),), own, threshold)

    found = asyncio.run(read_all(pictures, ask))
    readings = [each for each in found if isinstance(each, Reading)]
    left_out = [each for each in found if isinstance(each, LeftOut)]
    if not readings:
        raise Failure(f"{left_out[0].picture.file}: {left_out[0].why}")
    if as_json:
        print_json(as_facts(readings, left_out))
    else:
        tell(folder, readings, left_out)
    # Last, so that what was read is told even where this cannot be written.
    if output is not None:
        write_page(folder, readings, left_out, output)


def _is_about_tiles(kind: Kind, question: str | None) -> bool:
    if kind is not Kind.CLICK:
        return False
    # Imported here, so that the other commands start without ONNX Runtime.
    from legible.recognizers.click.questions import parse
    from legible.recognizers.click.wordings import Rule

    asked = parse(question or "")
    return asked is not None and asked.rule is Rule.NAMED_TILES


def challenge(folder: Path, kind: Kind) -> list[Picture]:
    """The pictures in `folder` and in the folders in it. Raises `Failure` where there are none."""
    # What a labels.tsv has named is not found again in its own folder.
    found: dict[Path, Picture] = {}
    try:
        if not folder.is_dir():
            raise Failure(f"{folder} is no folder: name one with pictures of the challenge.")
        folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
        for picture in (picture for each in folders for picture in _of(each, kind)):
            found.setdefault(picture.file.resolve(), picture)
    except OSError as error:
        raise Failure(f"Cannot read {error.filename or folder} ({error.strerror}).") from None
    pieces = {each.piece.resolve() for each in found.values() if each.piece}
    pictures = [picture for file, picture in found.items() if file not in pieces]
    if not pictures:
        raise Failure(f"{folder} holds no picture ({', '.join(sorted(PICTURES))}): name a folder that does.")
    return pictures


def _of(folder: Path, kind: Kind) -> list[Picture]:
    labels = folder / LABELS
    if labels.exists():
        return _labelled(labels, kind)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    # Hidden files beside pictures are the system's (macOS writes ._name.png).
    return [Picture(file, None) for file in files if file.is_file() and not file.name.startswith(".")]


def _labelled(labels: Path, kind: Kind) -> list[Picture]:
    """The pictures that a labels.tsv names. Raises `Failure` for what is no such list."""
    try:
        lines = labels.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Failure(f"{labels} is not UTF-8: save it as UTF-8, with a tab between columns.") from None

    def wrong(number: int, what: str) -> Failure:
        return Failure(f"{labels}: line {number} {what}; write: file, tab, right answer, without a heading.")

    pictures: dict[Path, tuple[int, Picture]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, *rest = line.split("\t")
        if not rest:
            raise wrong(number, "has no tab and right answer")
        if not (labels.parent / name).is_file():
            raise wrong(number, f"names {name}, which is not there")
        picture = _picture(labels.parent / name, [each.strip() for each in rest], kind)
        if picture.piece is not None and not picture.piece.is_file():
            raise wrong(number, f"names the piece {picture.piece.name}, which is not there")
        first, other = pictures.setdefault(picture.file.resolve(), (number, picture))
        if other != picture:
            raise wrong(number, f"has another answer to {name} than line {first}")
    if not pictures:
        raise Failure(f"{labels} names no picture: write file, tab, right answer on each line, or remove it.")
    return [picture for _, picture in pictures.values()]


def _picture(file: Path, columns: Sequence[str], kind: Kind) -> Picture:
    """One of a list, with what stands in the columns after its name."""
    said = [each for each in columns if each]  # spreadsheets write empty columns
    match kind:
        case Kind.ARITHMETIC:  # the answer stands after what is to be worked out
            return Picture(file, said[-1] if said else None)
        case Kind.GRID | Kind.CLICK:  # of tiles, none may fit; they may have a column each
            more = [each for each in columns[1:] if NUMBERS.fullmatch(each)]
            return Picture(file, " ".join([columns[0], *more]).strip())
        case Kind.SLIDER:
            piece = file.parent / columns[1] if len(columns) > 1 and columns[1] else None
            return Picture(file, columns[0] or None, piece)
    return Picture(file, said[0] if said else None)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failure(f"Cannot read {file} ({error.strerror}).") from None


async def read_all(pictures: Sequence[Picture], ask: Callable[[Picture], Task]) -> list[Reading | LeftOut]:
    """Every picture's reading, asked for in its turn, by as many threads as there are cores, with a bar
    on a terminal."""
    # Imported here, so that the other commands start without ONNX Runtime.
    from legible.engine.local import LocalEngine
    from legible.recognizers import available

    workers = os.cpu_count() or 1
    engine, turn = LocalEngine(available(), workers=workers), asyncio.Semaphore(4 * workers)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        line = bar.add_task("Reading", total=len(pictures))

        async def one(picture: Picture) -> Reading | LeftOut:
            async with turn:
                try:
                    answer = await engine.recognize(ask(picture))
                except RecognitionFailed as refusal:
                    return Reading(
                        picture, None, refusal.confidence or 0.0, None if picture.want is None else False
                    )
                except (Refusal, Failure) as refusal:
                    return LeftOut(picture, str(refusal))
                finally:
                    bar.advance(line)
            try:
                return Reading(picture, answer, answer.confidence, judge(answer, picture.want))
            except Failure as failure:
                raise Failure(f"{picture.file}: {failure} It stands in {LABELS}.") from None

        try:
            return await asyncio.gather(*map(one, pictures))
        finally:
            await engine.stop()


def judge(answer: Answer, want: str | None) -> bool | None:
    """Whether the answer is what is wanted, as `legible read` prints it; None where nobody knows. Raises
    `Failure` for what is no right answer of that kind."""
    if want is None:
        return None
    match answer:
        case ArithmeticAnswer(text=text):
            return float(text) == _number(want, "a sum", "its result, a number")
        case SliderAnswer(box=(x, *_)):
            kind, what = "a slider", "the gap's left edge in pixels"
            edge = _number(want, kind, what)
            if edge < 0:
                raise _impossible(want, kind, what)
            return abs(x - edge) <= NEAR_PX
        case ClickAnswer(point=tuple() as point, points=points):
            what = "x and y in pixels, of each point"
            wanted, said = _numbers(want, 2, "a click", what), points or (point,)
            if not wanted or all(0 < max(each) <= 1 for each in wanted):
                raise _impossible(want, "a click", what)
            return len(said) == len(wanted) and any(
                all(math.dist(one, other) <= NEAR_POINT_PX for one, other in zip(said, order, strict=True))
                for order in itertools.permutations(wanted)
            )
        case GridAnswer(objects=tiles, confidences=known):
            return set(tiles) == _places(want, len(known), "a grid", "its tiles")
        case ClickAnswer(objects=objects):
            fits = {index for index, fit in enumerate(objects) if fit}
            return fits == _places(want, len(objects), "a click", "the pictures that fit")
    return in_words(answer).lower() == want.lower()


def _places(want: str, size: int, kind: str, what: str) -> set[int]:
    """The tiles or pictures of so many that are written there; "none" is none."""
    what = f"{what}, from 0 to {size - 1}, or none"
    places = {each for (each,) in _numbers("" if want.lower() == NONE else want, 1, kind, what)}
    if not places <= set(range(size)):
        raise _impossible(want, kind, what)
    return {int(each) for each in places}


def _impossible(want: str, kind: str, what: str) -> Failure:
    return Failure(f"{want!r} is no right answer of {kind}: write {what}.")


def _number(want: str, kind: str, what: str) -> float:
    """The one number that is written there."""
    numbers = _numbers(want, 1, kind, what)
    if len(numbers) != 1:
        raise _impossible(want, kind, what)
    return numbers[0][0]


def _numbers(want: str, size: int, kind: str, what: str) -> list[tuple[float, ...]]:
    """The numbers that are written there, so many at a time."""
    try:
        numbers = [float(each) for each in want.replace(",", " ").split()]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
        return list(zip(*[iter(numbers)] * size, strict=True))
    except ValueError:
        raise _impossible(want, kind, what) from None


def interval(right: float, n: int) -> tuple[float, float]:
    """Where a share lies with 95% certainty, 0-1 (Wilson 1927)."""
    z = statistics.NormalDist().inv_cdf(0.975)
    middle, spread = right + z * z / 2, z * math.sqrt(right * (n - right) / n + z * z / 4)
    return (middle - spread) / (n + z * z), (middle + spread) / (n + z * z)


def verdict(readings: Sequence[Reading]) -> str:
    """What the figures mean for who owns the challenge."""
    counted = [each for each in readings if each.right is not None]
    share = Share.of(counted or readings)
    if counted:
        low, high = interval(share.right, share.n)
        says = f"Legible reads {share.right:.0f} of {share.n}: {low:.0%} to {high:.0%} of all such pictures."
        unknown = [str(each.picture.file) for each in readings if each.right is None]
        if unknown:
            says += f" Not counted, without a right answer: {_some(unknown)}."
    else:
        says = (
            f"Legible expects to read {share.right:.1f} of {share.n}, by its own confidence; "
            f"with right answers in {LABELS} it counts."
        )
    if share.right / share.n >= BROKEN:
        return (
            f"{says} A challenge that a program passes once in a hundred tries is taken for broken, since "
            "tries cost next to nothing: let it not be all that stands between a robot and what you guard."
        )
    return f"{says} That this reader fails does not say that all do: one trained on your pictures may not."


def _some(names: Sequence[str]) -> str:
    """The first of many."""
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def designs(folder: Path, readings: Sequence[Reading]) -> dict[str, list[Reading]]:
    """The readings by the folder that their pictures lie in."""
    groups: dict[str, list[Reading]] = {}
    for each in readings:
        groups.setdefault(os.path.relpath(each.picture.file.parent, folder), []).append(each)
    return groups


def _row(share: Share) -> list[str]:
    of_these = f"{share.right / share.answered:.0%}" if share.answered else ""
    return [f"{share.answered / share.n:.0%}", of_these, f"{share.right / share.n:.0%}"]


def tables(folder: Path, readings: Sequence[Reading]) -> list[tuple[list[str], list[list[str]]]]:
    """Head and rows: what is read from each confidence on, and, where there are several, of each design."""
    head = ["answered>", "right of these>", "right of all>"]
    found = [
        (["confidence from>", *head], [[f"{least:g}", *_row(Share.of(readings, least))] for least in LEAST]),
    ]
    groups = designs(folder, readings)
    if len(groups) > 1:
        rows = [[name, str(len(each)), *_row(Share.of(each))] for name, each in groups.items()]
        found.append((["design", "pictures>", *head], rows))
    return found


def tell(folder: Path, readings: Sequence[Reading], left_out: Sequence[LeftOut]) -> None:
    for head, rows in tables(folder, readings):
        print_table(head, rows, empty="")
        print()
    print(verdict(readings))
    if left_out:
        print(f"\nLeft out, since no answer can be had for them: {len(left_out)}.")
    for each in left_out[:SHOWN]:
        print(f"{each.picture.file}: {each.why}")


def as_facts(readings: Sequence[Reading], left_out: Sequence[LeftOut]) -> dict[str, object]:
    """Everything, for programs."""
    shares = [(least, Share.of(readings, least)) for least in LEAST]
    return {
        "pictures": len(readings),
        "labelled": sum(each.right is not None for each in readings),
        "verdict": verdict(readings),
        "from_confidence": [
            {"confidence": least, "answered": share.answered, "right": round(share.right, 2)}
            for least, share in shares
        ],
        "readings": [
            {
                "file": str(each.picture.file),
                "read": each.said if each.answer is not None else None,
                "confidence": each.confidence,
                "label": each.picture.want,
                "right": each.right,
            }
            for each in readings
        ],
        "left_out": [{"file": str(each.picture.file), "why": each.why} for each in left_out],
    }


def write_page(folder: Path, readings: Sequence[Reading], left_out: Sequence[LeftOut], path: Path) -> None:
    """One HTML file, with every picture in it and what was read."""
    from jinja2 import Environment, PackageLoader

    template = Environment(loader=PackageLoader("legible.cli", "."), autoescape=True).get_template(
        "assess.html"
    )
    page = template.render(
        folder=folder.absolute().name,
        verdict=verdict(readings),
        tables=tables(folder, readings),
        readings=[
            (each, os.path.relpath(each.picture.file, folder), _thumbnail(each))
            for each in sorted(readings, key=lambda each: -each.confidence)
        ],
        left_out=[(os.path.relpath(each.picture.file, folder), each.why) for each in left_out],
    )
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise Failure(f"--output: cannot write {path} ({error.strerror}).") from None


def _thumbnail(reading: Reading) -> str:
    """The picture, with the answer drawn on it where it has a place, as a data URL."""
    from legible.cli.overlay import drawn

    picture = drawn([_bytes(reading.picture.file)], reading.answer)
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(target.getvalue()).decode()}"
