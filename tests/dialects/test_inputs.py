"""From what callers send to the parts of a task."""

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legible.dialects.fields import TextFields
from legible.dialects.inputs import from_base64, image_bytes, text_options
from legible.errors import InvalidField, InvalidImage
from legible.tasks import ImageLimits
from tests.service import base64_of, draw

LIMIT = 1_000_000


@given(
    st.binary(min_size=1, max_size=300),
    st.sampled_from(["", ",", "data:image/png;base64,", "\nDATA:;base64,"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "\n", "\r\n", " ", "\t"]),
)
def test_what_was_encoded_comes_back(
    data: bytes, prefix: str, url_safe: bool, padded: bool, breaks: str
) -> None:
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()
    text = text if padded else text.rstrip("=")
    text = breaks.join(text[at : at + 60] for at in range(0, len(text), 60))
    assert from_base64(prefix + text, field="image", max_bytes=LIMIT) == data


@given(st.text(max_size=200))
def test_any_text_is_base64_or_refused_by_name(text: str) -> None:
    said = ""
    try:
        assert len(from_base64(text, field="queries[3]", max_bytes=LIMIT)) <= len(text)
    except InvalidImage as refusal:
        said = refusal.message
    assert said == "" or (said.startswith("queries[3]: got ") and said.isascii() and said.isprintable())


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png,QUJD",
        "data:;base64QUJD",
        ",,QUJD",
        "QUJD,",
        "QUJD=QUJD",
        "QU=JD",
        "QU\0JD",
        "ＱＵＪＤ",
    ],
)
def test_what_only_looks_like_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidImage):
        from_base64(text, field="image", max_bytes=LIMIT)


def test_a_text_that_must_be_too_large_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binascii, "a2b_base64", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(InvalidImage, match="at most 1000000 bytes"):
        from_base64("A" * 2_000_000, field="image", max_bytes=LIMIT)


def test_limits_of_a_picture_are_the_ones_that_are_set() -> None:
    picture = base64_of(draw(size=(120, 40)))
    assert image_bytes(picture, ImageLimits(max_side=120))
    for limits in (ImageLimits(max_side=119), ImageLimits(max_pixels=4799), ImageLimits(max_bytes=100)):
        with pytest.raises(InvalidImage):
            image_bytes(picture, limits)


@pytest.mark.parametrize(
    ("asked", "charset"),
    [
        (None, None),
        ("digits", "0123456789"),
        ("upper", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("letters", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("0011ab", "01ab"),
    ],
)
def test_a_charset_is_named_or_spelled_out(asked: str | None, charset: str | None) -> None:
    assert text_options(TextFields(charset=asked)).charset == charset


def test_lengths_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(InvalidField, match="min_length: got 7; allowed: at most max_length, which is 6"):
        text_options(TextFields(min_length=7, max_length=6))
