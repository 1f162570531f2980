"""Scores the text or arithmetic recognizer on a folder of labelled families, beside ddddocr if that is
installed:
`python benchmarks/accuracy.py text FOLDER [--reliability docs/models/text-reliability.svg]`."""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from legible.errors import Refusal
from legible.recognizers import arithmetic, text
from legible.recognizers.text.model import network
from legible.tasks import ArithmeticAnswer, ArithmeticOptions, Kind, Task, TextAnswer, TextOptions

FOLD = str.maketrans({"0": "o", "1": "l", "i": "l"})
BINS = 10


class Judged(Protocol):
    """An answer, how sure it was (0-1), and whether it was right."""

    @property
    def confidence(self) -> float: ...

    @property
    def right(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One picture: what it says, what was read, how surely, and the CPU seconds that took."""

    family: str
    want: str
    got: str
    confidence: float
    seconds: float

    @property
    def right(self) -> bool:
        return self.got.lower() == self.want.lower()


def labelled(root: Path, column: int) -> list[tuple[str, Path, str]]:
    """(family, file, answer) of every row of every labels.tsv under `root`."""
    rows = []
    for folder in sorted(p for p in root.iterdir() if (p / "labels.tsv").exists()):
        for line in (folder / "labels.tsv").read_text("utf-8").splitlines():
            parts = line.split("\t")
            rows.append((folder.name, folder / parts[0], parts[column]))
    if not rows:
        raise SystemExit(f"{root} holds no folder with a labels.tsv: name one of labelled families")
    return rows


def ours(kind: str) -> Callable[[bytes], tuple[str, float]]:
    """The recognizer of this installation, which never refuses for want of confidence here."""

    def read(data: bytes) -> tuple[str, float]:
        try:
            if kind == "text":
                answer: TextAnswer | ArithmeticAnswer = text.recognize(
                    Task(Kind.TEXT, (data,), TextOptions(), 0.0)
                )
            else:
                answer = arithmetic.recognize(Task(Kind.ARITHMETIC, (data,), ArithmeticOptions(), 0.0))
        except Refusal:
            return "", 0.0
        return answer.text, answer.confidence

    return read


def theirs() -> Callable[[bytes], tuple[str, float]] | None:
    """ddddocr, with its charset set to letters and digits; None if it is not installed."""
    try:
        reader = importlib.import_module("ddddocr").DdddOcr(show_ad=False)
    except ImportError:
        return None
    reader.set_ranges(6)
    return lambda data: (reader.classification(data), 1.0)


def measure(read: Callable[[bytes], tuple[str, float]], rows: list[tuple[str, Path, str]]) -> list[Row]:
    result = []
    for family, file, want in rows:
        data = file.read_bytes()
        start = time.process_time()
        try:
            got, confidence = read(data)
        except Exception:
            got, confidence = "", 0.0
        result.append(Row(family, want, got, confidence, time.process_time() - start))
    return result


def shares(rows: list[Row]) -> tuple[float, float, float]:
    """Percent right: ignoring case, exact, and with 0=o and 1=l=i."""
    nocase = np.mean([r.right for r in rows])
    exact = np.mean([r.got == r.want for r in rows])
    folded = np.mean([r.got.lower().translate(FOLD) == r.want.lower().translate(FOLD) for r in rows])
    return 100 * float(nocase), 100 * float(exact), 100 * float(folded)


def report(rows: list[Row], threshold: float) -> dict[str, float]:
    """Prints a line a family; returns the means over the families and the calibration."""
    families = {r.family: [x for x in rows if x.family == r.family] for r in rows}
    print("| family | n | ignoring case | exact | folded | answered | right of these |")
    print("|---|---|---|---|---|---|---|")
    for name, each in families.items():
        answered = [r for r in each if r.confidence >= threshold and r.got]
        right = f"{np.mean([r.right for r in answered]):.0%}" if answered else "-"
        a, b, c = shares(each)
        share = len(answered) / len(each)
        print(f"| {name} | {len(each)} | {a:.0f}% | {b:.0f}% | {c:.0f}% | {share:.0%} | {right} |")
    means = np.mean([shares(each) for each in families.values()], axis=0)
    answered = [r for r in rows if r.confidence >= threshold and r.got]
    lengths = [len(r.got) == len(r.want) for r in rows]
    return {
        "families": len(families),
        "ignoring_case": round(float(means[0]), 2),
        "exact": round(float(means[1]), 2),
        "folded": round(float(means[2]), 2),
        "right_length": round(100 * float(np.mean(lengths)), 2),
        "threshold": threshold,
        "answered": round(100 * len(answered) / len(rows), 2),
        "right_of_answered": round(100 * float(np.mean([r.right for r in answered])), 2) if answered else 0.0,
        "calibration_error": round(100 * calibration_error(rows), 2),
        "cpu_ms": round(1e3 * float(np.mean([r.seconds for r in rows[10:]])), 3),
        "cpu_ms_median": round(1e3 * float(np.median([r.seconds for r in rows[10:]])), 3),
    }


def outcome(rows: list[Row], threshold: float) -> str:
    """What a caller gets at that threshold."""
    answered = [r for r in rows if r.confidence >= threshold and r.got]
    right = sum(r.right for r in answered)
    n = len(rows) / 100
    refused, wrong = 100 - len(answered) / n, (len(answered) - right) / n
    share = 100 * right / max(1, len(answered))
    return (
        f"threshold {threshold:.3f}: right {right / n:.1f}%, wrong {wrong:.1f}%, refused {refused:.1f}%; "
        f"right of the answered {share:.1f}%"
    )


def bins(rows: Sequence[Judged]) -> list[tuple[float, float, int]]:
    """(mean confidence, share right, count) of the rows in ten equal steps of confidence."""
    result = []
    for i in range(BINS):
        part = [r for r in rows if i / BINS <= r.confidence < (i + 1) / BINS + (i == BINS - 1)]
        if part:
            result.append(
                (
                    float(np.mean([r.confidence for r in part])),
                    float(np.mean([r.right for r in part])),
                    len(part),
                )
            )
    return result


def calibration_error(rows: Sequence[Judged]) -> float:
    """Expected calibration error (Guo et al. 2017), 0-1."""
    return sum(abs(confidence - right) * n for confidence, right, n in bins(rows)) / len(rows)


def reliability(sets: Mapping[str, Sequence[Judged]], path: Path) -> None:
    """A picture of how often each confidence was right, one line a set."""
    colours = ("#1f6feb", "#d1570d", "#2da44e", "#8250df")
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 420 430" font-family="sans" font-size="12">',
        '<rect width="420" height="430" fill="#fff"/>',
        '<path d="M50 350V30H370V350Z M50 350L370 30" fill="none" stroke="#999"/>',
        '<text x="210" y="388" text-anchor="middle">confidence, %</text>',
        '<text transform="translate(14 190) rotate(-90)" text-anchor="middle">right, %</text>',
    ]
    for tick in range(0, 101, 20):
        x, y = 50 + 3.2 * tick, 354 - 3.2 * tick
        parts.append(f'<text x="{x:.0f}" y="368" text-anchor="middle">{tick}</text>')
        parts.append(f'<text x="42" y="{y:.0f}" text-anchor="end">{tick}</text>')
    for i, ((name, rows), colour) in enumerate(zip(sets.items(), colours, strict=False)):
        points = [(50 + 320 * confidence, 350 - 320 * right, n) for confidence, right, n in bins(rows)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        biggest = max(n for *_, n in points)
        for x, y, n in points:
            radius = 2 + 6 * (n / biggest) ** 0.5
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}"/>')
        note = f"{name}: expected calibration error {calibration_error(rows):.1%}"
        # At the lower right, where a line near the diagonal never comes.
        y = 340 - 16 * (len(sets) - 1 - i)
        parts.append(f'<text x="364" y="{y}" text-anchor="end" fill="{colour}">{note}</text>')
    path.write_text("\n".join(parts) + "</svg>\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("text", "arithmetic"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reliability", type=Path, help="write the reliability diagram to this SVG file")
    parser.add_argument(
        "--fresh", type=Path, help="a second folder, drawn by training/text/samples.py, for the diagram"
    )
    parser.add_argument("--compare", action="store_true", help="measure ddddocr too")
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    net = network()
    calibration = (net.texts if a.kind == "text" else net.sums)[0]
    column = 1 if a.kind == "text" else 2
    rows = measure(ours(a.kind), labelled(a.folder, column))
    summary = report(rows, calibration.threshold)
    print(json.dumps(summary))
    sure = json.loads(net.model.metadata[f"calibrations_{a.kind}"])[0].get("threshold_97", 1.0)
    for threshold in (calibration.threshold, sure):
        print(f"{a.folder.name} at", outcome(rows, threshold))
    if a.compare and (other := theirs()):
        print("ddddocr:", json.dumps(report(measure(other, labelled(a.folder, column)), 0.0)))
    sets = {a.folder.name: rows}
    if a.fresh:
        sets["fresh pictures"] = measure(ours(a.kind), labelled(a.fresh, column))
        print("fresh:", json.dumps(report(sets["fresh pictures"], calibration.threshold)))
        for threshold in (calibration.threshold, sure):
            print("fresh pictures at", outcome(sets["fresh pictures"], threshold))
    if a.reliability:
        reliability(sets, a.reliability)
    if a.json:
        a.json.write_text(json.dumps(summary, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
