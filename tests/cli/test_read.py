"""`legible read`: pictures from the command line, without a server."""

from pathlib import Path

from PIL import Image

from tests.cli.conftest import Legible

SAMPLES = Path(__file__).parents[1] / "recognizers" / "samples" / "click"
HEART, LIGHT, STAR, OTHER = (SAMPLES / f"tile-{index}.png" for index in range(4))
ALIKE = "Please click on all entities similar to the following pattern"


def test_several_pictures_are_one_question(bare: Legible, tmp_path: Path) -> None:
    question = "each image containing a traffic light"
    ran = bare("read", HEART, LIGHT, STAR, "--kind", "click", "--question", question, "--threshold", 0.5,
               "--output", "seen.png")  # fmt: skip
    assert (ran.code, ran.out) == (0, "1\n")
    with Image.open(LIGHT) as light, Image.open(tmp_path / "seen.png") as seen:
        assert seen.size == (2 * light.width, 2 * light.height)


def test_a_sample_is_given_with_the_question(bare: Legible) -> None:
    words = ("read", LIGHT, HEART, STAR, "--kind", "click", "--question", ALIKE)
    said = bare(*words, "--anchor", OTHER, "--threshold", 0.5, "--json").json
    assert max(said["confidences"]) == said["confidences"][1]
    ran = bare(*words)
    assert ran.code == 1
    assert "anchors" in ran.err


def test_what_fits_no_kind_is_told(bare: Legible) -> None:
    two = bare("read", HEART, LIGHT, "--kind", "text")
    assert (two.code, "takes one picture; got 2" in two.err) == (2, True)
    anchor = bare("read", HEART, "--kind", "text", "--anchor", OTHER)
    assert (anchor.code, "--anchor goes with --kind click" in anchor.err) == (2, True)
    gone = bare("read", HEART, "--kind", "click", "--question", ALIKE, "--anchor", "nowhere.png")
    assert (gone.code, "nowhere.png" in gone.err) == (1, True)
