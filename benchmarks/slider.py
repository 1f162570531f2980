"""Scores the slider recognizer on a folder of labelled families, beside ddddocr if that is installed:
`python benchmarks/slider.py FOLDER [--fresh PICTURES --reliability docs/models/slider-reliability.svg]`."""

from __future__ import annotations

import argparse
import csv
import importlib
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2

from legible import images
from legible.errors import Refusal
from legible.recognizers import slider
from legible.recognizers.slider.model import finder, ranker
from legible.recognizers.slider.preprocess import piece as visible
from legible.tasks import Kind, SliderAnswer, SliderOptions, Task

NEAR_PX = 5
SECOND = 2
THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9)

Reader = Callable[[bytes, bytes | None], SliderAnswer | None]


@dataclass(frozen=True, slots=True)
class Row:
    """One picture: how far the answer and the nearer of the first two candidates are from the truth, and
    what it took."""

    reader: str
    family: str
    form: str
    file: str
    error_px: int
    second_px: int
    confidence: float
    cpu_ms: float

    @property
    def right(self) -> bool:
        return self.error_px <= NEAR_PX


def labelled(root: Path) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """(family, folder, row of labels.tsv) of every family under `root`."""
    for folder in sorted(p for p in root.iterdir() if (p / "labels.tsv").exists()):
        with (folder / "labels.tsv").open(encoding="utf-8") as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                yield folder.name, folder, row


def ours(image: bytes, piece: bytes | None) -> SliderAnswer | None:
    """The recognizer of this installation, which never refuses for want of confidence here."""
    try:
        return slider.recognize(Task(Kind.SLIDER, (image,), SliderOptions(piece), 0.0))
    except Refusal:
        return None


def theirs() -> Reader | None:
    """ddddocr's slide_match, which needs two images."""
    try:
        ddddocr = importlib.import_module("ddddocr")
    except ImportError:
        return None
    engine = ddddocr.DdddOcr(det=False, ocr=False, show_ad=False)

    def read(image: bytes, piece: bytes | None) -> SliderAnswer | None:
        if piece is None:
            return None
        picture = images.decode(piece)
        part = visible(picture.rgb, picture.alpha)
        try:
            middle = engine.slide_match(piece, image)["target_x"]
        # Whatever it raises, it has not answered.
        except Exception:
            return None
        # It tells the middle of the whole second picture; the gap begins where its piece is visible.
        left = middle - picture.rgb.shape[1] // 2 + (part.x if part else 0)
        return SliderAnswer((left, 0, 1, 1), 1.0)

    return read


def score(root: Path, readers: dict[str, Reader]) -> list[Row]:
    """Every picture in one image and, where there is a piece, in two; the readers take turns at each, so that
    whatever else the machine does slows all of them."""
    rows = []
    for family, folder, label in labelled(root):
        image = (folder / label["file"]).read_bytes()
        # Where there is no gap, nothing is near.
        truth = -9999 if label["x"] == "-" else int(label["x"])
        pieces = [None] if label["piece"] == "-" else [None, (folder / label["piece"]).read_bytes()]
        for piece, (name, read) in itertools.product(pieces, readers.items()):
            start = time.process_time()
            answer = read(image, piece)
            spent = (time.process_time() - start) * 1e3
            found = [] if answer is None else [answer.box[0], *(one.x for one in answer.candidates[1:SECOND])]
            errors = [abs(x - truth) for x in found] or [99999]
            confidence = 0.0 if answer is None else answer.confidence
            form = "two" if piece else "one"
            rows.append(Row(name, family, form, label["file"], errors[0], min(errors), confidence, spent))
    return rows


def table(rows: list[Row], threshold: float) -> Iterator[str]:
    """A Markdown row a family, and one for their mean."""
    yield "| family | n | within 5 px | first two | answered | of those right | CPU ms (median) |"
    yield "|---|---|---|---|---|---|---|"
    families = sorted({row.family for row in rows})
    for family in families:
        yield _line(family, [row for row in rows if row.family == family], threshold)
    firsts = [statistics.mean(r.right for r in rows if r.family == f) for f in families]
    spent = f"{statistics.median(r.cpu_ms for r in rows):.1f}, at the least {min(r.cpu_ms for r in rows):.1f}"
    yield f"| **mean of families** | {len(rows)} | **{statistics.mean(firsts):.1%}** | | | | {spent} |"


def _line(family: str, rows: list[Row], threshold: float) -> str:
    answered = [row for row in rows if row.confidence >= threshold]
    right = statistics.mean(row.right for row in answered) if answered else 0.0
    cells = [
        family,
        str(len(rows)),
        f"{statistics.mean(row.right for row in rows):.0%}",
        f"{statistics.mean(row.second_px <= NEAR_PX for row in rows):.0%}",
        f"{len(answered) / len(rows):.0%}",
        f"{right:.0%}",
        f"{statistics.median(row.cpu_ms for row in rows):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def costs(rows: list[Row]) -> Iterator[str]:
    """A Markdown table of what each threshold costs: shares of all pictures."""
    yield "| threshold | right | wrong | refused | refused though right | right of the answered |"
    yield "|---|---|---|---|---|---|"
    for threshold in THRESHOLDS:
        answered = [row for row in rows if row.confidence >= threshold]
        right, wrong = sum(r.right for r in answered), sum(not r.right for r in answered)
        lost = sum(r.right for r in rows) - right
        shares = [right, wrong, len(rows) - right - wrong, lost]
        cells = [f"{share / len(rows):.1%}" for share in shares]
        yield f"| {threshold} | {' | '.join(cells)} | {right / max(1, len(answered)):.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fresh", type=Path, help="drawn by training.slider.data pictures, for the diagram")
    parser.add_argument("--reliability", type=Path, help="write the reliability diagram to this SVG file")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    # One thread, as in the service.
    cv2.setNumThreads(0)
    readers: dict[str, Reader] = {"legible": ours}
    other = theirs()
    if other:
        readers["ddddocr"] = other
    rows = score(arguments.folder, readers)
    for form, threshold in (("one", finder().calibration.threshold), ("two", ranker().calibration.threshold)):
        for name in readers if form == "two" else ["legible"]:
            print(f"\n{name}, {form} image{'s' if form == 'two' else ''}\n")
            mine = [row for row in rows if row.form == form and row.reader == name]
            print("\n".join(table(mine, threshold if name == "legible" else 0.0)))
    if arguments.fresh:
        # At the end of the path: click.py beside this file is not the library of that name.
        sys.path.append(str(Path(__file__).parent))
        judged = importlib.import_module("accuracy")
        fresh = score(arguments.fresh, {"legible": ours})
        sets = {}
        for form in ("one", "two"):
            sets[f"families, {form}"] = [r for r in rows if r.form == form and r.reader == "legible"]
            # A scene with a piece is not asked without it: it may show several gaps.
            sets[f"fresh, {form}"] = [r for r in fresh if r.form == form and r.family == form]
        for name, part in sets.items():
            print(f"\n{name}: expected calibration error {judged.calibration_error(part):.2%}\n")
            print("\n".join(costs(part)))
        if arguments.reliability:
            judged.reliability(sets, arguments.reliability)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
