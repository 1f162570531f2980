"""Draws labelled pictures to look at and to measure on: `python training/text/samples.py FOLDER --size 500
--kind text`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src"), str(HERE.parents[1])]

from data import Generator, Sample  # noqa: E402
from measure import is_sum  # noqa: E402

from legible.recognizers.arithmetic.expression import NotASum, parse  # noqa: E402


def row(sample: Sample, kind: str) -> str | None:
    """The label, and for sums the answer; None if the picture is of the other kind or has no answer."""
    if is_sum(sample.label) != (kind == "arithmetic"):
        return None
    if kind == "text":
        return sample.label
    try:
        return f"{sample.label}\t{parse(sample.label).value}"
    except NotASum:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=("text", "arithmetic"), default="text")
    parser.add_argument("--size", type=int, default=500)
    parser.add_argument("--seed", type=int, default=31415)
    parser.add_argument("--level", type=float, default=1.0, help="how hard they may be, 0-1")
    a = parser.parse_args()
    generator = Generator(a.seed, a.level)
    target = a.folder / "fresh"
    target.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    while len(lines) < a.size:
        sample = generator.sample()
        label = row(sample, a.kind)
        if label is not None:
            name = f"{len(lines):05}.png"
            Image.fromarray(sample.rgb).save(target / name)
            lines.append(f"{name}\t{label}\n")
    (target / "labels.tsv").write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
