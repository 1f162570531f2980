"""The landing page's examples: our own sample pictures, really read, for whoever asks."""

from dataclasses import asdict
from pathlib import Path

from legible.console.kinds import KINDS, Sample
from legible.tasks import (
    Answer,
    ArithmeticOptions,
    ClickOptions,
    GridOptions,
    Kind,
    Options,
    SliderOptions,
    Task,
    TextOptions,
)

SAMPLES = Path(__file__).parent / "static" / "samples"


def find(file: str) -> tuple[Kind, Sample] | None:
    """The sample of that file name, and its kind."""
    for page in KINDS.values():
        for sample in page.samples:
            if sample.file == file:
                return page.kind, sample
    return None


def task(kind: Kind, sample: Sample) -> Task:
    """What is asked of the sample."""
    return Task(kind, ((SAMPLES / sample.file).read_bytes(),), _options(kind, sample))


def _options(kind: Kind, sample: Sample) -> Options:
    question = sample.values.get("question", "")
    match kind:
        case Kind.TEXT:
            return TextOptions()
        case Kind.ARITHMETIC:
            return ArithmeticOptions()
        case Kind.SLIDER:
            piece = sample.files.get("piece")
            return SliderOptions((SAMPLES / piece).read_bytes() if piece else None)
        case Kind.GRID:
            return GridOptions(question)
        case Kind.CLICK:
            return ClickOptions(question)


def as_json(answer: Answer) -> dict[str, object]:
    """The answer for the page's script."""
    return asdict(answer)
