"""From what callers send to the parts of a `Task`: pictures in base64, options of a text,
pictures of a grid."""

import binascii
import re
import string
from collections.abc import Sequence

from legible.db.session import storable
from legible.dialects.edge import shown
from legible.dialects.fields import TextFields
from legible.errors import ImageTooLarge, InvalidField, InvalidImage
from legible.images import check_header
from legible.recognizers.grid.labels import known_labels, label_of
from legible.tasks import ClickOptions, GridOptions, ImageLimits, TextOptions

# Programs that cut one off leave its comma now and then.
DATA_PREFIX = re.compile(r"\s*(data:[^,]{0,200};base64)?,", re.IGNORECASE)
URL = re.compile(r"\s*https?://", re.IGNORECASE)
ODD_CHARACTER = re.compile(r"[^A-Za-z0-9+/_-]")
TO_PLAIN_BASE64 = str.maketrans("-_", "+/")
BASE64 = "the picture's bytes in base64"
LETTERS_AND_DIGITS = string.digits + string.ascii_letters
CHARSETS = {
    "digits": string.digits,
    "letters": string.ascii_letters,
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "alphanumeric": LETTERS_AND_DIGITS,
}
LONGEST_TEXT = 32
GRID_SIZES = (100, 300, 450)


def image_bytes(text: str, limits: ImageLimits, *, field: str = "image") -> bytes:
    """The encoded picture in a base64 `text`, its size checked from its header;
    raises `InvalidField` naming `field`."""
    data = from_base64(text, field=field, max_bytes=limits.max_bytes)
    check_header(data, limits, field=field)
    return data


def from_base64(text: str, *, field: str, max_bytes: int) -> bytes:
    """Lenient: a data: prefix or its comma, white space, the URL-safe alphabet and missing padding are all
    accepted."""
    if len(text) // 4 * 3 > max_bytes * 1.1 + 1024:  # line breaks and a prefix may add a little
        raise ImageTooLarge(
            field, got=f"about {len(text) // 4 * 3} bytes", allowed=f"at most {max_bytes} bytes"
        )
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return _lenient_base64(text, field)


def _lenient_base64(text: str, field: str) -> bytes:
    if URL.match(text):
        raise InvalidImage(field, got="a URL, which is not fetched", allowed=BASE64)
    prefix = DATA_PREFIX.match(text)
    packed = "".join((text[prefix.end() :] if prefix else text).split()).rstrip("=")
    odd = ODD_CHARACTER.search(packed)
    if odd:
        got = f"text that is not base64 (character {odd.start() + 1} of it is {odd.group()!a})"
        raise InvalidImage(field, got=got, allowed=BASE64)
    if len(packed) % 4 == 1:
        raise InvalidImage(field, got=f"base64 cut short ({len(packed)} characters)", allowed=BASE64)
    packed = packed.translate(TO_PLAIN_BASE64)
    return binascii.a2b_base64(packed + "=" * (-len(packed) % 4))


def image_list(field: str, texts: Sequence[str], limits: ImageLimits, most: int) -> tuple[bytes, ...]:
    """Several pictures, at most `most` of them; a refusal names which one is wrong."""
    if len(texts) > most:
        raise InvalidField(field, got=f"a list of {len(texts)}", allowed=f"at most {most} pictures")
    return tuple(image_bytes(text, limits, field=f"{field}[{place}]") for place, text in enumerate(texts))


def text_options(known: TextFields, *, prefix: str = "") -> TextOptions:
    """What is known of a text; raises `InvalidField`, with `prefix` before the field, for lengths that
    exclude each other and for unreadable characters."""
    shortest, longest = known.min_length or 1, known.max_length or LONGEST_TEXT
    if shortest > longest:
        allowed = f"at most {prefix}max_length, which is {longest}"
        raise InvalidField(f"{prefix}min_length", got=str(shortest), allowed=allowed)
    return TextOptions(_charset(known.charset, f"{prefix}charset"), shortest, longest, known.case or "keep")


def _charset(asked: str | None, field: str) -> str | None:
    if asked is None:
        return None
    charset = CHARSETS.get(asked, asked)
    unknown = next((character for character in charset if character not in LETTERS_AND_DIGITS), None)
    if unknown is not None:
        allowed = f"{', '.join(CHARSETS)}, or the letters and digits themselves"
        raise InvalidField(field, got=f"{shown(asked)} with the character {unknown!r}", allowed=allowed)
    return "".join(dict.fromkeys(charset))


def grid_options(question: str, top: int | None, *, field: str = "question") -> GridOptions:
    """The label that is asked for, by its id; raises `InvalidField`, which lists the known ones."""
    label = label_of(question)
    if label is None:
        raise InvalidField(field, got=shown(question), allowed=known_labels())
    return GridOptions(label, top)


def click_options(question: str, anchors: tuple[bytes, ...], *, place_only: bool = False) -> ClickOptions:
    """The question as it can be kept in the call log beside its answer."""
    return ClickOptions(storable(question), anchors, place_only)


def grid_image(text: str, limits: ImageLimits, *, field: str = "image") -> bytes:
    """A picture of exactly one of the three sizes that grids have."""
    image = image_bytes(text, limits, field=field)
    width, height = check_header(image, limits)
    if width != height or width not in GRID_SIZES:
        raise InvalidImage(
            field, got=f"{width}x{height} pixels", allowed="100x100, 300x300 or 450x450 pixels"
        )
    return image
