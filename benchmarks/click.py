"""Scores the click recognizer on a folder of scenes with known answers: `python benchmarks/click.py FOLDER`.

FOLDER/labels.json lists scenes: file, question, point [x, y] from the top left, and radius (or
tolerance) around it.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from legible.errors import InvalidField, RecognitionFailed
from legible.recognizers.click import recognize
from legible.tasks import ClickOptions, Kind, Task


def verdict(folder: Path, row: dict[str, Any], threshold: float | None) -> tuple[str, float]:
    """What came of one scene, and its CPU seconds: right, wrong, unsure (under the threshold) or refused (a
    question outside the rules)."""
    data = (folder / row["file"]).read_bytes()
    start = time.process_time()
    try:
        answer = recognize(Task(Kind.CLICK, (data,), ClickOptions(row["question"]), threshold))
    except RecognitionFailed:
        return "unsure", time.process_time() - start
    except InvalidField:
        return "refused", time.process_time() - start
    seconds = time.process_time() - start
    x, y = answer.point or (-1, -1)
    reach = float(row.get("radius") or row["tolerance"])
    hit = (x - row["point"][0]) ** 2 + (y - row["point"][1]) ** 2 <= reach**2
    return ("right" if hit else "wrong"), seconds


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
