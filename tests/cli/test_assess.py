"""How legible a challenge is: counted with labels, expected without, told in words, as JSON and as a page."""

import shutil
from pathlib import Path

import pytest

from legible.cli.assess import interval, judge
from legible.cli.common import Failure
from legible.tasks import Kind
from tests.commands import Legible

SAMPLES = Path(__file__).parents[1] / "recognizers" / "samples"


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    """Two designs of one challenge, one with right answers, of which one is wrong on purpose."""
    folder = tmp_path / "challenge"
    shutil.copytree(SAMPLES / "text", folder / "old")
    shutil.copytree(SAMPLES / "text", folder / "new", ignore=lambda *_: ["labels.tsv"])
    labels = folder / "old" / "labels.tsv"
    labels.write_text(labels.read_text().replace("HDVFJ", "wrong"))
    return folder


def test_with_right_answers_it_counts(bare: Legible, challenge: Path) -> None:
    said = bare("assess", challenge / "old", "--kind", "text", "--json").json
    assert (said["pictures"], said["labelled"]) == (8, 8)
    first = said["readings"][0]
    assert (first["read"], first["label"], first["right"]) == ("HDVFJ", "wrong", False)
    right = sum(each["right"] for each in said["readings"])
    assert said["from_confidence"][0] == {"confidence": 0.0, "answered": 8, "right": right}
    assert f"reads {right} of 8" in said["verdict"]


def test_without_it_expects_by_its_confidence(bare: Legible, challenge: Path) -> None:
    said = bare("assess", challenge / "new", "--kind", "text", "--json").json
    assert (said["pictures"], said["labelled"]) == (8, 0)
    expected = sum(each["confidence"] for each in said["readings"])
    assert said["from_confidence"][0]["right"] == pytest.approx(expected, abs=0.01)
    assert "expects to read" in said["verdict"]


def test_designs_are_told_apart_in_words_and_on_a_page(bare: Legible, challenge: Path) -> None:
    page = challenge.parent / "page.html"
    told = bare("assess", challenge, "--kind", "text", "--output", page)
    rows = [line.split() for line in told.out.splitlines()]
    assert ["new", "8"] in [row[:2] for row in rows]
    assert ["old", "8"] in [row[:2] for row in rows]
    html = page.read_text()
    assert html.count('<img src="data:image/jpeg;base64,') == 16
    assert "wrong, it is <code>wrong</code>" in html
    assert "expects to read" in html


def test_a_gap_may_be_five_pixels_off_and_a_word_in_another_case() -> None:
    assert judge(Kind.SLIDER, "105", "100") is True
    assert judge(Kind.SLIDER, "106", "100") is False
    assert judge(Kind.TEXT, "aBc", "ABC") is True
    assert judge(Kind.TEXT, "abc", None) is None
    with pytest.raises(Failure, match="left edge"):
        judge(Kind.SLIDER, "105", "left")


def test_other_kinds_are_read_too(bare: Legible, tmp_path: Path) -> None:
    sums = bare("assess", SAMPLES / "arithmetic", "--kind", "arithmetic", "--json").json
    assert sums["from_confidence"][0]["right"] >= 5
    folder = tmp_path / "sliders"
    folder.mkdir()
    shutil.copy(SAMPLES / "slider" / "000.png", folder)
    (folder / "labels.tsv").write_text("000.png\t108\n")
    page = tmp_path / "page.html"
    assert bare("assess", folder, "--kind", "slider", "--output", page, "--json").json["readings"][0]["right"]
    assert "<img" in page.read_text()


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("0.png HDVFJ\n", "line 1 has no tab"),
        ("0.png\tHDVFJ\n\nnone.png\tx\n", "line 3 names none.png"),
    ],
)
def test_wrong_labels_are_named(bare: Legible, challenge: Path, labels: str, says: str) -> None:
    (challenge / "old" / "labels.tsv").write_text(labels)
    ran = bare("assess", challenge, "--kind", "text")
    assert ran.code == 1
    assert says in ran.err


def test_what_cannot_be_assessed_is_a_sentence(bare: Legible, challenge: Path, tmp_path: Path) -> None:
    assert "is no folder" in bare("assess", tmp_path / "none", "--kind", "text").err
    (tmp_path / "empty").mkdir()
    assert "holds no picture" in bare("assess", tmp_path / "empty", "--kind", "text").err
    (challenge / "new" / "0.png").write_bytes(b"no picture")
    ran = bare("assess", challenge, "--kind", "text")
    assert (ran.code, "0.png: image: got" in ran.err) == (1, True)
    assert bare("assess", challenge, "--kind", "grid").code == 2
    ran = bare("assess", challenge / "old", "--kind", "text", "--output", tmp_path / "none" / "page.html")
    assert "cannot write" in ran.err


def test_the_interval_of_a_share() -> None:
    # By the formula of Wilson (1927), as tables have it.
    assert interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert interval(26, 50) == pytest.approx((0.3851, 0.6521), abs=1e-3)
