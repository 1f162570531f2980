"""`legible assess`: how legible a challenge is to a machine, from a folder of its pictures."""

import asyncio
import base64
import io
import itertools
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from legible.cli.common import Failure, Json, print_json, print_table
from legible.cli.read import QuestionOption, in_words, options_of
from legible.errors import RecognitionFailed, Refusal
from legible.tasks import Answer, ClickAnswer, GridAnswer, Kind, SliderAnswer, Task

LABELS = "labels.tsv"
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"}
NEAR_PX = 5  # a slider's gap is found when its left edge is at most so far off
NEAR_POINT_PX = 15  # an object is hit when what to click is at most so far from the right point
LEAST = (0.0, 0.3, 0.5, 0.7, 0.9)  # confidences to answer from
BROKEN = 0.01  # Bursztein, Martin and Mitchell, "Text-based CAPTCHA Strengths and Weaknesses", 2011
THUMBNAIL_PX = 320


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the challenge, and its right answer where somebody wrote that down."""

    file: Path
    want: str | None


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
            f"A {LABELS} in a folder names those to read: file, tab, right answer.",
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

    Right answers are written as `legible read` prints them. The case of letters does not count, the gap of
    a slider may be 5 pixels off, and a point to click 15.
    """
    options = options_of(kind, question)
    pictures = list(challenge(folder, kind))
    # Where there are tiles to choose, a threshold would choose them; elsewhere the likeliest answer is
    # wanted, however unsure.
    threshold = None if kind is Kind.GRID or _is_about_tiles(kind, question) else 0.0
    readings = asyncio.run(
        read_all(pictures, lambda picture: Task(kind, (_bytes(picture.file),), options, threshold))
    )
    if output is not None:
        write_page(folder, readings, output)
    if as_json:
        print_json(as_facts(readings))
    else:
        tell(folder, readings)


def _is_about_tiles(kind: Kind, question: str | None) -> bool:
    if kind is not Kind.CLICK:
        return False
    # Imported here, so that the other commands start without ONNX Runtime.
    from legible.recognizers.click.questions import parse
    from legible.recognizers.click.wordings import Rule

    asked = parse(question or "")
    return asked is not None and asked.rule is Rule.NAMED_TILES


def challenge(folder: Path, kind: Kind) -> Iterable[Picture]:
    """The pictures in `folder` and in the folders in it. Raises `Failure` where there are none."""
    if not folder.is_dir():
        raise Failure(f"{folder} is no folder: name one with pictures of the challenge.")
    folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    # What a labels.tsv has named is not found again in its own folder.
    found: dict[Path, Picture] = {}
    for picture in (picture for each in folders for picture in _of(each, kind)):
        found.setdefault(picture.file.resolve(), picture)
    if not found:
        raise Failure(f"{folder} holds no picture ({', '.join(sorted(PICTURES))}): name a folder that does.")
    return list(found.values())


def _of(folder: Path, kind: Kind) -> list[Picture]:
    labels = folder / LABELS
    if not labels.exists():
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
        return [Picture(file, None) for file in files]
    pictures = []
    try:
        lines = labels.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Failure(f"{labels} is not UTF-8: save it as UTF-8, with a tab between columns.") from None
    except OSError as error:
        raise Failure(f"{labels} cannot be read: {error.strerror}.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, *rest = line.split("\t")
        if not rest or not (folder / name).is_file():
            wrong = "has no tab and right answer" if not rest else f"names {name}, which is not there"
            raise Failure(f"{labels}: line {number} {wrong}; write: file, tab, right answer.")
        said = [each.strip() for each in rest if each.strip()]  # spreadsheets write empty columns
        # Of a sum, the answer stands after what is to be worked out.
        want = (said[-1] if kind is Kind.ARITHMETIC else said[0]) if said else ""
        is_known = bool(want) or kind not in (Kind.TEXT, Kind.ARITHMETIC)  # of tiles, none may fit
        pictures.append(Picture(folder / name, want if is_known else None))
    return pictures


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failure(f"Cannot read {file} ({error.strerror}).") from None


async def read_all(pictures: Sequence[Picture], ask: Callable[[Picture], Task]) -> list[Reading]:
    """Every picture's reading, asked for in its turn, by as many threads as there are cores, with a bar
    on a terminal."""
    # Imported here, so that the other commands start without ONNX Runtime.
    from legible.engine.local import LocalEngine
    from legible.recognizers import available

    workers = os.cpu_count() or 1
    engine, turn = LocalEngine(available(), workers=workers), asyncio.Semaphore(4 * workers)
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        line = bar.add_task("Reading", total=len(pictures))

        async def one(picture: Picture) -> Reading:
            async with turn:
                try:
                    answer = await engine.recognize(ask(picture))
                except RecognitionFailed as refusal:
                    return Reading(
                        picture, None, refusal.confidence or 0.0, None if picture.want is None else False
                    )
                except Refusal as refusal:
                    raise Failure(f"{picture.file}: {refusal}") from None
                finally:
                    bar.advance(line)
            return Reading(picture, answer, answer.confidence, judge(answer, picture.want))

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
        case SliderAnswer(box=(x, *_)):
            edges = _numbers(want or "none", 1, "a slider", "the gap's left edge in pixels")
            if len(edges) != 1:
                raise Failure(
                    f"{want!r} is no right answer of a slider: write the gap's left edge in pixels."
                )
            return abs(x - edges[0][0]) <= NEAR_PX
        case ClickAnswer(point=tuple() as point, points=points):
            wanted, said = (
                _numbers(want, 2, "a click", "x and y in pixels, of each point"),
                points or (point,),
            )
            return len(said) == len(wanted) and any(
                all(math.dist(one, other) <= NEAR_POINT_PX for one, other in zip(said, order, strict=True))
                for order in itertools.permutations(wanted)
            )
        case GridAnswer(objects=tiles):
            return {(tile,) for tile in tiles} == set(_numbers(want, 1, "a grid", "its tiles, from 0"))
        case ClickAnswer(objects=objects):
            fits = {(index,) for index, fit in enumerate(objects) if fit}
            return fits == set(_numbers(want, 1, "a click", "the pictures that fit, from 0"))
    return in_words(answer).lower() == want.lower()


def _numbers(want: str, size: int, kind: str, what: str) -> list[tuple[float, ...]]:
    """The numbers that are written there, so many at a time."""
    numbers = map(float, want.replace(",", " ").split())
    try:
        return list(zip(*[numbers] * size, strict=True))
    except ValueError:
        raise Failure(f"{want!r} is no right answer of {kind}: write {what}.") from None


def interval(right: float, n: int) -> tuple[float, float]:
    """Where a share lies with 95% certainty, 0-1 (Wilson 1927)."""
    z = statistics.NormalDist().inv_cdf(0.975)
    middle, spread = right + z * z / 2, z * math.sqrt(right * (n - right) / n + z * z / 4)
    return (middle - spread) / (n + z * z), (middle + spread) / (n + z * z)


def verdict(readings: Sequence[Reading]) -> str:
    """What the figures mean for who owns the challenge."""
    share = Share.of(readings)
    if all(each.right is not None for each in readings):
        low, high = interval(share.right, share.n)
        says = f"Legible reads {share.right:.0f} of {share.n}: {low:.0%} to {high:.0%} of all such pictures."
    else:
        says = (
            f"Legible expects to read {share.right:.0f} of {share.n}, by its own confidence; "
            f"with right answers in {LABELS} it counts."
        )
    if share.right / share.n >= BROKEN:
        return (
            f"{says} A challenge that a program passes once in a hundred tries is taken for broken, since "
            "tries cost next to nothing: let it not be all that stands between a robot and what you guard."
        )
    return f"{says} That this reader fails does not say that all do: one trained on your pictures may not."


def designs(folder: Path, readings: Sequence[Reading]) -> dict[str, list[Reading]]:
    """The readings by the folder that their pictures lie in."""
    groups: dict[str, list[Reading]] = {}
    for each in readings:
        groups.setdefault(str(each.picture.file.parent.relative_to(folder)), []).append(each)
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


def tell(folder: Path, readings: Sequence[Reading]) -> None:
    for head, rows in tables(folder, readings):
        print_table(head, rows, empty="")
        print()
    print(verdict(readings))


def as_facts(readings: Sequence[Reading]) -> dict[str, object]:
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
    }


def write_page(folder: Path, readings: Sequence[Reading], path: Path) -> None:
    """One HTML file, with every picture in it and what was read."""
    from jinja2 import Environment, PackageLoader

    template = Environment(loader=PackageLoader("legible.cli", "."), autoescape=True).get_template(
        "assess.html"
    )
    page = template.render(
        folder=folder.absolute().name,
        verdict=verdict(readings),
        tables=tables(folder, readings),
        readings=[(each, _thumbnail(each)) for each in sorted(readings, key=lambda each: -each.confidence)],
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
