"""Scores the click recognizer on a folder of scenes with known answers: `python benchmarks/click.py FOLDER`.

FOLDER/labels.json lists scenes: file, question, point [x, y] from the top left, and radius (or
tolerance) around it. Or: images, question, examples (sample pictures, which may be left out) and labels:
the places of the images that fit, or of a single image a box (left, top, right, bottom) in parts of it.
"""

import argparse
import json
import math
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from legible.errors import InvalidField, RecognitionFailed
from legible.recognizers.click import recognize
from legible.tasks import ClickAnswer, ClickOptions, Kind, Task


def verdict(folder: Path, row: dict[str, Any], threshold: float | None) -> tuple[str, float]:
    """What came of one scene, and its CPU seconds: right, wrong, unsure (under the threshold) or refused (a
    question outside the rules)."""
    pictures = tuple((folder / name).read_bytes() for name in row.get("images") or [row["file"]])
    samples = tuple((folder / name).read_bytes() for name in row.get("examples") or [])
    task = Task(Kind.CLICK, pictures, ClickOptions(row["question"], samples), threshold)
    start = time.process_time()
    try:
        answer = recognize(task)
    except RecognitionFailed:
        return "unsure", time.process_time() - start
    except InvalidField:
        return "refused", time.process_time() - start
    seconds = time.process_time() - start
    return ("right" if is_right(answer, row) else "wrong"), seconds


def is_right(answer: ClickAnswer, row: dict[str, Any]) -> bool:
    if answer.objects:
        return [place for place, fits in enumerate(answer.objects) if fits] == sorted(row["labels"])
    x, y = answer.point or (-1, -1)
    if "point" in row:
        reach = float(row.get("radius") or row["tolerance"])
        return math.dist((x, y), row["point"]) <= reach
    box = np.ravel(row["labels"])[:4] * np.tile(answer.size, 2)
    return bool(box[0] <= x <= box[2] and box[1] <= y <= box[3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threshold", type=float, help="instead of the calibrated one")
    arguments = parser.parse_args()
    rows = json.loads((arguments.folder / "labels.json").read_text())
    # The first call pays for imports and tables.
    verdict(arguments.folder, rows[0], arguments.threshold)
    by_question: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        by_question[row["question"]].append(verdict(arguments.folder, row, arguments.threshold))
    print("| question | n | right | wrong | unsure | refused | CPU ms |\n|---|---|---|---|---|---|---|")
    by_question["all"] = [each for group in by_question.values() for each in group]
    for question, group in by_question.items():
        counts = [sum(said == name for said, _ in group) for name in ("right", "wrong", "unsure", "refused")]
        shown = " | ".join(f"{count / len(group):.1%}" for count in counts)
        print(f"| {question} | {len(group)} | {shown} | {1e3 * np.mean([s for _, s in group]):.0f} |")


if __name__ == "__main__":
    main()
