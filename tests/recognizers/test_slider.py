"""The slider recognizer on small pictures of our own generator, and on input that is no slider."""

import csv
import io
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from legible.calibration import Calibration
from legible.errors import InvalidImage, RecognitionFailed
from legible.recognizers.slider import recognize
from legible.recognizers.slider.compare import changed
from legible.recognizers.slider.decode import decode, found
from legible.recognizers.slider.match import match
from legible.recognizers.slider.preprocess import piece, preprocess
from legible.tasks import Kind, SliderAnswer, SliderOptions, Task
from tests.service import Start, base64_of

SAMPLES = Path(__file__).parent / "samples" / "slider"
NEAR_PX = 5


def labels() -> list[dict[str, str]]:
    with (SAMPLES / "labels.tsv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def read(image: bytes, other: bytes | None = None, threshold: float | None = None) -> SliderAnswer:
    return recognize(Task(Kind.SLIDER, (image,), SliderOptions(other), threshold))


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, form)
    return target.getvalue()


def photo(width: int = 300, height: int = 150, seed: int = 3) -> np.ndarray:
    """Smooth random colours: something to cut a piece from."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 12 + 1, width // 12 + 1, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def cut(x: int, y: int, size: int = 44) -> tuple[np.ndarray, np.ndarray]:
    """A photo with a dark square gap at x, y and the (size, size, 4) piece that was in it."""
    whole = photo()
    background = whole.copy()
    background[y : y + size, x : x + size] = background[y : y + size, x : x + size] // 3
    alpha = np.full((size, size, 1), 255, np.uint8)
    return background, np.concatenate([whole[y : y + size, x : x + size], alpha], 2)


@pytest.mark.parametrize("label", [r for r in labels() if r["piece"] == "-"], ids=lambda r: r["file"])
def test_the_gap_is_found_in_one_image(label: dict[str, str]) -> None:
    answer = read((SAMPLES / label["file"]).read_bytes())
    assert abs(answer.box[0] - int(label["x"])) <= NEAR_PX
    assert abs(answer.box[2] - int(label["w"])) <= 2 * NEAR_PX
    assert answer.candidates[0].x == answer.box[0]


@pytest.mark.parametrize("label", [r for r in labels() if r["piece_x"] != "-"], ids=lambda r: r["file"])
def test_the_piece_is_seen_in_a_screenshot(label: dict[str, str]) -> None:
    answer = read((SAMPLES / label["file"]).read_bytes())
    assert answer.piece_x is not None
    assert abs(answer.piece_x - int(label["piece_x"])) <= NEAR_PX


@pytest.mark.parametrize("label", [r for r in labels() if r["piece"] != "-"], ids=lambda r: r["file"])
def test_the_gap_is_found_with_the_piece(label: dict[str, str]) -> None:
    answer = read((SAMPLES / label["file"]).read_bytes(), (SAMPLES / label["piece"]).read_bytes())
    assert abs(answer.box[0] - int(label["x"])) <= NEAR_PX
    assert abs(answer.box[1] - int(label["y"])) <= NEAR_PX


def test_a_piece_that_touches_its_edge_and_one_with_margins_give_the_same_gap() -> None:
    background, tight = cut(180, 60)
    margins = np.pad(tight, ((5, 9), (7, 3), (0, 0)))
    first, second = (read(encoded(background), encoded(part)) for part in (tight, margins))
    assert first.box == second.box
    assert (first.piece_x, second.piece_x) == (0, 7)


@pytest.mark.parametrize("x", [0, 1, 255, 256])
def test_a_gap_at_the_edge_of_the_background_is_found(x: int) -> None:
    background, part = cut(x, 0)
    assert abs(read(encoded(background), encoded(part)).box[0] - x) <= 1


def test_a_strip_tells_the_row_of_the_gap() -> None:
    background, part = cut(180, 60)
    # The same hole in another row would be as good for a piece without a row.
    background[4:48, 90:134] = photo()[4:48, 90:134] // 3
    strip = np.pad(part, ((60, 150 - 104), (0, 0), (0, 0)))
    answer = read(encoded(background), encoded(strip))
    assert abs(answer.box[0] - 180) <= 1
    assert abs(answer.box[1] - 60) <= 1


@pytest.mark.parametrize("threshold", [None, 0.0, 0.05])
def test_a_strip_of_other_rows_is_searched_for_everywhere_at_any_threshold(threshold: float | None) -> None:
    background, part = cut(180, 60)
    strip = np.pad(part, ((20, 150 - 64), (0, 0), (0, 0)))
    answer = read(encoded(background), encoded(strip), threshold)
    assert abs(answer.box[0] - 180) <= 1
    assert abs(answer.box[1] - 60) <= 1


def test_a_piece_without_alpha_is_cut_from_its_paper() -> None:
    background, part = cut(150, 40)
    paper = np.full((60, 60, 3), 255, np.uint8)
    paper[8:52, 8:52] = part[:, :, :3]
    answer = read(encoded(background, "JPEG"), encoded(paper, "JPEG"))
    assert abs(answer.box[0] - 150) <= 2
    assert answer.piece_x is not None
    assert abs(answer.piece_x - 8) <= 2


def test_the_whole_photo_is_taken_as_the_second_image() -> None:
    background, _ = cut(201, 33)
    answer = read(encoded(background), encoded(photo()))
    assert answer.box == (201, 33, 44, 44)


def test_the_whole_photo_may_have_round_corners() -> None:
    background, _ = cut(201, 33)
    alpha = Image.new("L", (300, 150), 0)
    ImageDraw.Draw(alpha).rounded_rectangle((0, 0, 299, 149), 12, fill=255)
    answer = read(encoded(background), encoded(np.dstack([photo(), np.asarray(alpha)])))
    assert answer.box == (201, 33, 44, 44)


@pytest.mark.parametrize("paper", [255, 128])
def test_a_shadow_that_was_flattened_on_the_paper_is_no_part_of_the_piece(paper: int) -> None:
    background, part = cut(150, 40)
    alpha = Image.new("L", (64, 64), 0)
    alpha.paste(90, (7, 7, 57, 57))
    alpha = alpha.filter(ImageFilter.GaussianBlur(2))
    shade = np.asarray(alpha, np.float32)[..., None] / 255
    flat = (paper * (1 - shade) + np.zeros(3) * shade).astype(np.uint8)
    flat[10:54, 10:54] = part[:, :, :3]
    answer = read(encoded(background, "JPEG"), encoded(flat, "JPEG"))
    assert abs(answer.box[0] - 150) <= 2


def test_a_large_picture_is_answered_in_its_own_pixels() -> None:
    background, part = cut(180, 60)
    large, larger = (Image.fromarray(p).resize((p.shape[1] * 4, p.shape[0] * 4)) for p in (background, part))
    answer = read(encoded(np.asarray(large)), encoded(np.asarray(larger)))
    assert abs(answer.box[0] - 720) <= 8
    assert abs(answer.box[2] - 176) <= 8


def test_a_tiny_piece_in_a_huge_picture_does_not_take_seconds() -> None:
    large = np.asarray(Image.fromarray(photo()).resize((4000, 2000)))
    part = piece(large[900:924, 3000:3024], None)
    assert part is not None
    start = time.process_time()
    assert len(match(large, part, False).boxes)
    assert time.process_time() - start < 2


def test_candidates_are_ranked_and_the_first_is_the_answer() -> None:
    background, part = cut(180, 60)
    background[60:104, 90:134] = photo()[60:104, 90:134] // 3
    answer = read(encoded(background), encoded(part))
    confidences = [one.confidence for one in answer.candidates]
    assert confidences == sorted(confidences, reverse=True)
    assert answer.candidates[0].confidence == answer.confidence
    assert answer.candidates[0].x == answer.box[0]


def test_a_picture_without_a_gap_is_refused() -> None:
    with pytest.raises(RecognitionFailed, match="no gap was found") as refusal:
        read(encoded(np.full((150, 300, 3), 200, np.uint8)))
    assert refusal.value.threshold is not None
    assert refusal.value.confidence is not None
    assert refusal.value.confidence < refusal.value.threshold


def test_a_piece_that_fits_nowhere_is_refused() -> None:
    _, part = cut(180, 60)
    with pytest.raises(RecognitionFailed, match="fits nowhere"):
        read(encoded(np.full((150, 300, 3), 200, np.uint8)), encoded(part))


def test_a_threshold_of_one_refuses_and_tells_the_confidence() -> None:
    background, part = cut(180, 60)
    with pytest.raises(RecognitionFailed) as refusal:
        read(encoded(background), encoded(part), threshold=1.1)
    assert refusal.value.threshold == 1.1
    assert 0 < (refusal.value.confidence or 0) <= 1


def refusal_of(image: bytes, other: bytes | None = None) -> str:
    with pytest.raises(InvalidImage) as refusal:
        read(image, other)
    return refusal.value.message


def test_a_piece_larger_than_the_background_is_refused() -> None:
    background, part = cut(180, 60)
    message = refusal_of(encoded(part[:, :, :3]), encoded(background))
    assert "piece: got a piece of 300x150 pixels for a background of 44x44" in message


def test_a_line_at_the_edge_of_a_small_picture_is_no_gap() -> None:
    background = np.full((45, 280, 3), 90, np.uint8)
    whole = background.copy()
    whole[0] = 250
    assert changed(background, whole) == []


def test_the_same_image_twice_is_refused() -> None:
    background, _ = cut(180, 60)
    got = "piece: got the same picture as the background"
    assert got in refusal_of(encoded(background), encoded(background))
    assert "piece: got the same picture as the background" in refusal_of(
        encoded(background), encoded(background, "BMP")
    )
    # JPEG spoils most where colours jump, which is around the gap.
    assert "piece: got the same picture as the background" in refusal_of(
        encoded(background), encoded(background, "JPEG")
    )


def test_only_the_piece_is_refused() -> None:
    _, part = cut(180, 60)
    strip = np.pad(part, ((60, 46), (0, 0), (0, 0)))
    assert "image: got a picture that is partly transparent" in refusal_of(encoded(strip))
    assert "image: got a picture that is partly transparent" in refusal_of(encoded(disc(part)))


def disc(part: np.ndarray) -> np.ndarray:
    """The (n, n, 4) piece as a disc that touches all four sides of its picture."""
    y, x = np.mgrid[: len(part), : len(part)] - (len(part) - 1) / 2
    part = part.copy()
    part[:, :, 3] = np.where(x**2 + y**2 <= (len(part) / 2) ** 2, 255, 0)
    return part


def test_a_background_with_round_corners_is_no_piece() -> None:
    background, part = cut(180, 60)
    alpha = Image.new("L", (300, 150), 0)
    ImageDraw.Draw(alpha).rounded_rectangle((0, 0, 299, 149), 20, fill=255)
    rounded = np.dstack([background, np.asarray(alpha)])
    assert abs(read(encoded(rounded), encoded(part)).box[0] - 180) <= 1


@pytest.mark.parametrize(("width", "height"), [(2, 2), (300, 16), (16, 150)])
def test_a_tiny_background_is_refused(width: int, height: int) -> None:
    message = refusal_of(encoded(photo()[:height, :width]))
    assert f"image: got a picture of {width}x{height} pixels; allowed: a background with sides of" in message


def test_a_tiny_piece_is_refused() -> None:
    background, part = cut(180, 60)
    message = refusal_of(encoded(background), encoded(part[:3, :7]))
    assert message.startswith(
        "piece: got a piece of 7x3 pixels; allowed: a piece with sides of at least 8 pixels"
    )


def test_a_piece_as_wide_as_the_background_is_refused() -> None:
    background, _ = cut(180, 60)
    message = refusal_of(encoded(background), encoded(background[5:-5, 5:-5]))
    assert message.startswith("piece: got a piece of 290x140 pixels for a background of 300x150")


def test_an_empty_piece_is_refused() -> None:
    background, part = cut(180, 60)
    part[:, :, 3] = 0
    assert "piece: got a picture in which nothing can be seen" in refusal_of(
        encoded(background), encoded(part)
    )


def test_a_broken_piece_is_refused_by_name() -> None:
    background, part = cut(180, 60)
    assert re.match(
        r"piece: got \d+ bytes that are no whole picture", refusal_of(encoded(background), encoded(part)[:60])
    )


def test_pictures_that_do_not_differ_in_one_place_are_refused() -> None:
    with pytest.raises(RecognitionFailed, match="do not differ in one place"):
        read(encoded(photo(seed=3)), encoded(photo(seed=4)))


def test_difference_is_shared_out_among_places() -> None:
    background, _ = cut(201, 33)
    background[80:120, 20:60] = 0
    places = changed(background, photo())
    assert {tuple(int(v) for v in place.box) for place in places} == {(201, 33, 44, 44), (20, 80, 40, 40)}
    assert sum(place.probability for place in places) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("place", [(0, 0), (256, 106), (100, 0)])
def test_a_difference_at_the_edge_of_the_picture_keeps_its_size(place: tuple[int, int]) -> None:
    background, _ = cut(*place)
    found = changed(background, photo())
    assert tuple(int(v) for v in found[0].box) == (*place, 44, 44)


@pytest.mark.parametrize("seed", range(6))
def test_beside_the_whole_photo_the_piece_is_told_from_its_gap(seed: int) -> None:
    whole = photo(seed=seed)
    background = whole.copy()
    background[33:77, 201:245] //= 3
    background[33:77, 12:56] = whole[33:77, 201:245]
    answer = read(encoded(background), encoded(whole))
    assert (answer.box[0], answer.piece_x) == (201, 12)
    assert answer.confidence > 0.9


@pytest.mark.parametrize("seed", range(6))
def test_a_second_gap_of_the_same_rows_is_not_taken_for_the_piece(seed: int) -> None:
    whole = photo(seed=seed)
    background = whole.copy()
    background[33:77, 201:245] //= 3
    background[33:77, 60:104] //= 3
    answer = read(encoded(background), encoded(whole), threshold=0.0)
    assert answer.piece_x is None
    assert answer.confidence < 0.7


@settings(deadline=None)
@given(
    st.integers(2, 60),
    st.integers(2, 60),
    st.integers(2, 40),
    st.integers(2, 40),
    st.integers(0, 9),
    st.booleans(),
)
def test_match_stays_inside_any_background(
    w: int, h: int, pw: int, ph: int, seed: int, rows_agree: bool
) -> None:
    rng = np.random.default_rng(seed)
    background = rng.integers(0, 256, (h, w, 3), np.uint8)
    alpha = rng.integers(0, 2, (ph, pw), np.uint8) * 255
    part = piece(rng.integers(0, 256, (ph, pw, 3), np.uint8), alpha)
    if part is None:
        return
    found = match(background, part, rows_agree)
    assert len(found.boxes) == len(found.features)
    assert np.isfinite(found.features).all()
    for x, y, width, height in found.boxes:
        assert 0 <= x <= x + width <= w
        assert 0 <= y <= y + height <= h


@settings(deadline=None)
@given(st.integers(2, 500), st.integers(2, 500), st.integers(0, 99), st.floats(0.1, 12))
def test_decode_answers_inside_the_picture_or_refuses(w: int, h: int, seed: int, spread: float) -> None:
    canvas = preprocess(np.zeros((h, w, 3), np.uint8))
    rng = np.random.default_rng(seed)
    maps = rng.normal(0, spread, (11, canvas.tensor.shape[2] // 4, canvas.tensor.shape[3] // 4)).astype(
        np.float32
    )
    try:
        answer = decode(found(maps, canvas), canvas, Calibration(), 0.1)
    except RecognitionFailed:
        return
    x, y, width, height = answer.box
    assert 0 <= x <= x + width <= w
    assert 0 <= y <= y + height <= h
    assert 0.1 <= answer.confidence <= 1


@pytest.mark.parametrize("name", ["piece", "slide_image"])
def test_both_dialects_answer_a_real_slider(start: Start, name: str) -> None:
    service = start({Kind.SLIDER: recognize})
    background, part = cut(180, 60)
    image, margins = (base64_of(encoded(p)) for p in (background, np.pad(part, ((5, 9), (7, 3), (0, 0)))))
    call = {"type": 10200, "image": image, name: margins}
    data = service.client.post("/api/v1/captcha.php", json=call, headers={"X-API-Key": service.key}).json()[
        "data"
    ]
    assert (data["result"], data["box"], data["piece_x"], data["distance"]) == (
        "180",
        [180, 60, 44, 44],
        7,
        173,
    )
    assert data["candidates"][0] == {"x": 180, "confidence": data["confidence"]}
    ours = {"kind": "slider", "image": image, "options": {"piece": margins}}
    headers = {"Authorization": f"Bearer {service.key}"}
    answer = service.client.post("/v1/recognitions", json=ours, headers=headers).json()["answer"]
    assert (answer["box"], answer["piece_x"]) == ([180, 60, 44, 44], 7)


def test_pictures_that_are_no_slider_are_told_in_chinese_and_cost_nothing(start: Start) -> None:
    service = start({Kind.SLIDER: recognize})
    before = service.balance()
    background, part = cut(180, 60)
    empty = np.zeros_like(part)
    for image, second, got, allowed in (
        (background[:20], None, "image: 收到 300x20 像素的图片", "边长不小于 32 像素的背景图"),
        (
            disc(part),
            None,
            "image: 收到 部分透明的图片, 像是没有背景的滑块小图",
            "带缺口的背景图; 单独的滑块小图请放在 piece 中",
        ),
        (
            part[:, :, :3],
            background,
            "piece: 收到 300x150 像素的滑块小图, 而背景图为 44x44 像素",
            "高度不超过背景图、宽度不超过其一半的滑块小图; 背景图请放在 image 中",
        ),
        (background, background, "piece: 收到 与 image 相同的图片", "滑块小图, 或没有缺口的完整原图"),
        (background, empty, "piece: 收到 看不到任何内容的图片", "滑块小图"),
        (background, part[:4], "piece: 收到 44x4 像素的滑块小图", "边长不小于 8 像素的滑块小图"),
    ):
        call = {"type": 10200, "image": base64_of(encoded(image))}
        call |= {} if second is None else {"piece": base64_of(encoded(second))}
        reply = service.client.post("/api/v1/captcha.php", json=call, headers={"X-API-Key": service.key})
        assert (reply.status_code, reply.json()["msg"]) == (400, f"参数错误: {got}; 应为 {allowed}")
        assert service.last_call().log_id == reply.json()["data"]["log_id"]
    assert service.balance() == before
