"""How legible a challenge is: counted with labels, expected without, told in words, as JSON and as a page."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from legible.cli.assess import interval, judge
from legible.cli.common import Failure
from legible.tasks import Answer, ArithmeticAnswer, ClickAnswer, GridAnswer, SliderAnswer, TextAnswer
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
    assert ("<small>old/0.png</small>" in html, "<small>new/0.png</small>" in html) == (True, True)
    # Counted where there are right answers, and it is said where there are none.
    assert " of 8: " in html
    assert "Not counted, without a right answer: " in html
    assert "and 3 more." in html


SLIDER = SliderAnswer((105, 20, 44, 44), 0.9)
POINT = ClickAnswer("", 0.9, (300, 200), point=(259, 211))
POINTS = ClickAnswer("", 0.9, (300, 200), point=(30, 40), points=((30, 40), (200, 90)))
TILES = ClickAnswer("", 0.9, (100, 100), objects=(True, False, True))
GRID = GridAnswer("bus", 3, (0.1,) * 9, (), 0.9)


@pytest.mark.parametrize(
    ("answer", "want", "right"),
    [
        (SLIDER, "100", True),
        (SLIDER, "99", False),
        (TextAnswer("aBc", 0.9), "ABC", True),
        (TextAnswer("abc", 0.9), None, None),
        (POINT, "260 210", True),
        (POINT, "260, 230", False),
        (POINTS, "201 91, 31 41", True),
        (POINTS, "201 91", False),
        (POINTS, "201 91, 201 91", False),
        (TILES, "2,0", True),
        (TILES, "0 1", False),
        (TILES, "", False),
        (GRID, "none", True),
        (GRID, "8", False),
        (ArithmeticAnswer("-3", "1-4=", 0.9), "-3.0", True),
    ],
)
def test_a_place_may_be_some_pixels_off_and_a_word_in_another_case(
    answer: Answer, want: str | None, right: bool | None
) -> None:
    assert judge(answer, want) is right


@pytest.mark.parametrize(
    ("answer", "want", "says"),
    [
        (SLIDER, "left", "left edge"),
        (SLIDER, "", "left edge"),
        (POINT, "260", "x and y"),
        (SLIDER, "-5", "left edge"),
        (SLIDER, "nan", "left edge"),
        (POINT, "0.64 0.15", "in pixels"),
        (POINT, "", "x and y"),
        (TILES, "a", "from 0"),
        (TILES, "3", "from 0 to 2"),
        (GRID, "9", "from 0 to 8"),
        (ArithmeticAnswer("3", "1*3=", 0.9), "1*3=", "result"),
        (ArithmeticAnswer("1000", "10*100=", 0.9), "1,000", "result"),
    ],
)
def test_what_is_no_right_answer_is_named(answer: Answer, want: str, says: str) -> None:
    with pytest.raises(Failure, match=says):
        judge(answer, want)


def test_pictures_of_which_none_fits_are_read_so(bare: Legible, tmp_path: Path) -> None:
    Image.new("RGB", (100, 100), "skyblue").save(tmp_path / "sky.png")
    (tmp_path / "labels.tsv").write_text("sky.png\t\n")
    said = bare(
        "assess", tmp_path, "--kind", "click", "--question", "each image containing a bus", "--json"
    ).json
    assert (said["readings"][0]["read"], said["readings"][0]["right"]) == ("", True)


def test_a_picture_that_a_list_above_its_folder_names_is_read_once(bare: Legible, challenge: Path) -> None:
    (challenge / "labels.tsv").write_text("new/0.png\tHDVFJ\t\t\n")
    said = bare("assess", challenge, "--kind", "text", "--json").json
    assert (said["pictures"], said["labelled"]) == (16, 9)
    assert said["readings"][0]["label"] == "HDVFJ"


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
        ("0.png\tHDVFJ\n0.png\tother\n", "line 2 has another answer to 0.png than line 1"),
        ("file\tanswer\n0.png\tHDVFJ\n", "without a heading"),
        ("0.png\tHDVFJ\n../old/0.png\tother\n", "line 2 has another answer to ../old/0.png than line 1"),
        ("\n", "names no picture"),
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
    assert bare("assess", challenge, "--kind", "grid").code == 2
    ran = bare("assess", challenge / "old", "--kind", "text", "--output", tmp_path / "none" / "page.html")
    assert (ran.code, "cannot write" in ran.err, "Legible reads" in ran.out) == (1, True, True)
    for file in (challenge / "new").glob("*.png"):
        file.write_bytes(b"no picture")
    ran = bare("assess", challenge / "new", "--kind", "text")
    assert (ran.code, "0.png: image: got" in ran.err) == (1, True)


def test_a_picture_that_cannot_be_read_is_left_out_and_named(bare: Legible, challenge: Path) -> None:
    (challenge / "new" / "0.png").write_bytes(b"no picture")
    (challenge / "new" / "._1.png").write_bytes(b"of the system")
    (challenge / "new" / "folder.png").mkdir()
    page = challenge.parent / "page.html"
    ran = bare("assess", challenge, "--kind", "text", "--output", page)
    assert ran.code == 0
    assert "Left out, since no answer can be had for them: 1." in ran.out
    assert "0.png: image: got" in ran.out
    assert "<li>new/0.png: image: got" in page.read_text()
    said = bare("assess", challenge, "--kind", "text", "--json").json
    assert (said["pictures"], [Path(each["file"]).name for each in said["left_out"]]) == (15, ["0.png"])


def test_the_piece_of_a_slider_may_be_a_picture_of_its_own(bare: Legible, tmp_path: Path) -> None:
    (tmp_path / "pieces").mkdir()
    shutil.copy(SAMPLES / "slider" / "001.png", tmp_path)
    shutil.copy(SAMPLES / "slider" / "001_piece.png", tmp_path / "pieces")
    labels = tmp_path / "labels.tsv"
    labels.write_text("001.png\t108\tpieces/001_piece.png\n")
    said = bare("assess", tmp_path, "--kind", "slider", "--json").json
    assert (said["pictures"], said["labelled"], said["left_out"]) == (1, 1, [])
    with_piece, alone = (
        bare("read", tmp_path / "001.png", "--kind", "slider", *piece, "--json").json["confidence"]
        for piece in (("--piece", tmp_path / "pieces" / "001_piece.png"), ())
    )
    assert said["readings"][0]["confidence"] == with_piece != alone
    labels.write_text("001.png\t\tpieces/001_piece.png\n")
    said = bare("assess", tmp_path, "--kind", "slider", "--json").json
    assert (said["labelled"], said["readings"][0]["confidence"]) == (0, with_piece)
    labels.write_text("001.png\t108\tnone.png\n")
    assert "line 1 names the piece none.png" in bare("assess", tmp_path, "--kind", "slider").err


def test_the_interval_of_a_share() -> None:
    # By the formula of Wilson (1927), as tables have it.
    assert interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert interval(26, 50) == pytest.approx((0.3851, 0.6521), abs=1e-3)


def test_labels_that_are_not_utf_8_are_told_with_their_file(bare: Legible, tmp_path) -> None:
    (tmp_path / "labels.tsv").write_bytes("a.png\t你好\n".encode("utf-16"))
    ran = bare("assess", tmp_path, "--kind", "text")
    assert ran.code == 1
    assert "labels.tsv is not UTF-8: save it as UTF-8" in ran.err


def test_a_text_without_an_answer_is_not_known_and_a_remark_is_no_answer(
    bare: Legible, challenge: Path
) -> None:
    (challenge / "old" / "labels.tsv").write_text("0.png\tHDVFJ\tdrawn by hand\n", "utf-8")
    (challenge / "new" / "labels.tsv").write_text("0.png\t\n", "utf-8")
    said = bare("assess", challenge, "--kind", "text", "--json").json
    assert sorted((str(each["label"]), str(each["right"])) for each in said["readings"]) == [
        ("HDVFJ", "True"),
        ("None", "None"),
    ]


def test_a_picture_that_is_called_its_own_piece_is_no_picture(bare: Legible, tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "slider" / "001.png", tmp_path)
    (tmp_path / "labels.tsv").write_text("001.png\t108\t001.png\n")
    ran = bare("assess", tmp_path, "--kind", "slider")
    assert (ran.code, "holds no picture" in ran.err) == (1, True)


def test_a_slider_has_one_right_answer(bare: Legible, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "slider", tmp_path / "slider")
    file = next((tmp_path / "slider").glob("*.png"))
    (tmp_path / "slider" / "labels.tsv").write_text(f"{file.name}\t12,5\n", "utf-8")
    ran = bare("assess", tmp_path / "slider", "--kind", "slider")
    assert ran.code == 1
    assert "'12,5' is no right answer of a slider" in ran.err
