"""Scores the grid recognizer on folders of whole challenges and of labelled tiles:
`python benchmarks/grid.py FOLDER [FOLDER ...] [--json FILE]`.

A folder with `index.json` holds screenshots of challenges: each row has file, label ("traffic_light"), grid
(3 or 4), answer (tiles that must be chosen) and optional ones that may be. Any other folder holds tiles,
<class>/<file>.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from legible.errors import RecognitionFailed
from legible.recognizers import grid
from legible.recognizers.grid.labels import LABELS, label_of
from legible.tasks import GridAnswer, GridOptions, Kind, Task

SIZES = {1: 100, 3: 300, 4: 450}
JACCARD = 0.75


@dataclass(frozen=True, slots=True)
class Row:
    """One picture: whether the answer was right or near, how sure it was, and what it took."""

    family: str
    file: str
    right: bool
    near: bool
    refused: bool
    confidence: float
    cpu_ms: float


def encoded(path: Path, side: int) -> bytes:
    """The picture as PNG at the size that callers send."""
    target = io.BytesIO()
    Image.open(path).convert("RGB").resize((side, side)).save(target, "PNG")
    return target.getvalue()


def ask(image: bytes, question: str) -> tuple[GridAnswer | None, float, float]:
    """The answer (None if refused), its confidence, and the milliseconds of CPU."""
    start = time.process_time()
    answer, confidence = None, 0.0
    try:
        answer = grid.recognize(Task(Kind.GRID, (image,), GridOptions(question)))
        confidence = answer.confidence
    except RecognitionFailed as refusal:
        confidence = refusal.confidence or 0.0
    return answer, confidence, 1e3 * (time.process_time() - start)


def question_of(name: str) -> str | None:
    return label_of(name.replace("_", " "))


def challenges(root: Path) -> Iterator[Row]:
    """The likeliest set against the cells that must and may be chosen."""
    for row in json.loads((root / "index.json").read_text("utf-8")):
        image = encoded(root / row["file"], SIZES[row["grid"]])
        answer, confidence, cpu_ms = ask(image, question_of(row["label"]) or row["label"])
        got = set(answer.objects) if answer else set()
        must, may = set(row["answer"]), set(row.get("optional", ()))
        counted = got - (may - must)
        overlap = len(counted & must) / max(1, len(counted | must))
        right = answer is not None and must <= got <= must | may
        near = right or (answer is not None and overlap >= JACCARD)
        family = f"{row['grid']}x{row['grid']}"
        yield Row(family, row["file"], right, near, answer is None, round(confidence, 4), round(cpu_ms, 2))


def tiles(root: Path) -> Iterator[Row]:
    """Every tile is asked for its own label, and for one of another label's at which it must say no."""
    folders = sorted(p for p in root.iterdir() if p.is_dir())
    for number, folder in enumerate(folders):
        own = question_of(folder.name)
        others = [label for label in LABELS if label != own]
        for n, path in enumerate(sorted(folder.iterdir())):
            image = encoded(path, SIZES[1])
            asked = [(own, True)] if own else []
            for question, want in (*asked, (others[(7 * n + number) % len(others)], False)):
                answer, confidence, cpu_ms = ask(image, question)
                right = answer is not None and bool(answer.objects) == want
                family = f"{folder.name} {'present' if want else 'another asked'}"
                refused = answer is None
                yield Row(family, path.name, right, right, refused, round(confidence, 4), round(cpu_ms, 2))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--each", action="store_true", help="a line for every picture that was not right")
    a = parser.parse_args()
    rows: list[Row] = []
    for folder in a.folders:
        rows += challenges(folder) if (folder / "index.json").exists() else tiles(folder)
    print("| family | n | right | within Jaccard .75 | refused | CPU ms, median |\n|---|---|---|---|---|---|")
    for family in sorted({row.family for row in rows}):
        each = [row for row in rows if row.family == family]
        right, near, refused = (
            sum(values) / len(each)
            for values in ([r.right for r in each], [r.near for r in each], [r.refused for r in each])
        )
        cpu_ms = statistics.median(row.cpu_ms for row in each)
        print(f"| {family} | {len(each)} | {right:.1%} | {near:.1%} | {refused:.1%} | {cpu_ms:.1f} |")
    if a.each:
        for row in rows:
            if not row.right:
                print(f"{row.family} {row.file}: {'refused' if row.refused else 'wrong'}, {row.confidence}")
    if a.json:
        a.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), "utf-8")


if __name__ == "__main__":
    main()
