"""The console's samples say what the page promises: the recognizers that are shipped read each of them."""

import re
from math import dist

import pytest

from legible import recognizers
from legible.console import demo
from legible.console.i18n import translations
from legible.console.kinds import KINDS, Sample
from legible.tasks import Answer, ArithmeticAnswer, ClickAnswer, GridAnswer, Kind, SliderAnswer, TextAnswer

SAMPLES = [(page.kind, sample) for page in KINDS.values() for sample in page.samples]
# How far, in pixels, a gap's edge and a click may be from what the generator drew.
EDGE, CLICK = 5, 20


def is_right(answer: Answer, truth: str) -> bool:
    numbers = [int(each) for each in re.findall(r"\d+", truth)]
    match answer:
        case TextAnswer() | ArithmeticAnswer():
            return answer.text == truth
        case SliderAnswer():
            return abs(answer.box[0] - numbers[0]) <= EDGE
        case GridAnswer():
            return list(answer.objects) == numbers
        case ClickAnswer():
            return answer.point is not None and dist(answer.point, numbers) <= CLICK
    raise AssertionError(answer)


@pytest.mark.parametrize(("kind", "sample"), SAMPLES, ids=lambda each: getattr(each, "file", each))
def test_a_sample_is_read_right(kind: Kind, sample: Sample) -> None:
    recognize = recognizers.available()[kind]
    answer = recognize(demo.task(kind, sample))
    assert is_right(answer, sample.truth), answer


def test_every_kind_has_samples_and_the_chinese_questions_are_understood() -> None:
    assert {kind for kind, _ in SAMPLES} == set(Kind)
    chinese = translations("zh_Hans")
    for kind, sample in SAMPLES:
        if kind is Kind.CLICK:
            asked = {"question": str(chinese.ugettext(sample.values["question"]))}
            assert asked != sample.values
            answer = recognizers.available()[kind](demo.task(kind, Sample(sample.file, sample.truth, asked)))
            assert is_right(answer, sample.truth), answer
