"""Safe decoding of pictures that strangers send: limits are checked from the header,
before pixels are decoded."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageSequence

from legible.errors import EmptyImage, ImageTooLarge, InvalidImage
from legible.tasks import DEFAULT_LIMITS, ImageLimits

# What Pillow warns of is either refused here or of no interest. Not `catch_warnings`, which in several
# threads may leave the warnings of everybody off.
warnings.filterwarnings("ignore", module=r"PIL\b")

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
MAX_FRAMES = 32
ANIMATED = ("GIF", "PNG", "WEBP")  # further pictures of a JPEG are other views of it, for cameras
# Honest pictures have a dozen scans and a few hundred parts; a hundred KB of scans took 20 seconds.
MAX_SCANS = 100
MAX_PARTS = 5_000
MAX_PACKED = 10  # parts of a PNG that are packed: each may unpack to a megabyte
MAX_EXIF_BYTES = 65_536  # what one segment of a JPEG holds
MAX_RUN_BYTES = 256 * 1024  # of a BMP in run-length, which Pillow reads in Python
PNG_MAGIC, JPEG_MAGIC, SCAN = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xda"
GIF_MAGIC, EXTENSION, FRAME_OR_END = (b"GIF87a", b"GIF89a"), 0x21, b",;"
PHOTOS = ("JPEG", "MPO")  # the latter has further views behind the first, as phones write
# What undoes each orientation of a photo; browsers show it so.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = range(5, 9)
PACKED, EXIF = (b"iCCP", b"zTXt", b"iTXt"), b"Exif\0"
FILL, LONE = 0xFF, (0x01, *range(0xD0, 0xD9))  # markers of a JPEG without a length


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: `rgb` (H, W, 3) uint8 flattened on white, `alpha` (H, W) uint8 or None,
    and for an animation
    `frames`: up to 32 flattened (H, W, 3) frames, the first of which is `rgb`, with their `alphas`."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    frames: tuple[NDArray[np.uint8], ...] = ()
    alphas: tuple[NDArray[np.uint8] | None, ...] = ()


def decode(data: bytes, limits: ImageLimits = DEFAULT_LIMITS, *, field: str = "image") -> Picture:
    """The picture in `data`.

    Raises `InvalidImage`, naming `field`, for anything that is not a whole PNG, JPEG, GIF, BMP or WebP
    within `limits`.
    """
    with _opened(data, limits, field) as image:
        return _pixels(image, limits, field)


def check_header(
    data: bytes,
    limits: ImageLimits = DEFAULT_LIMITS,
    *,
    field: str = "image",
) -> tuple[int, int]:
    """Width and height as the header tells them: cheap, no pixel is decoded.
    Raises `InvalidImage` as `decode` does."""
    with _opened(data, limits, field) as image:
        width, height = image.size
        return (height, width) if _orientation(image) in SIDEWAYS else (width, height)


@contextmanager
def _opened(data: bytes, limits: ImageLimits, field: str) -> Iterator[Image.Image]:
    if not data:
        raise EmptyImage(field, got="no bytes", allowed="a PNG, JPEG, GIF, BMP or WebP picture")
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(field, got=f"{len(data)} bytes", allowed=f"at most {limits.max_bytes} bytes")
    _check_parts(data, field)
    try:
        # Twice as many pixels is where Pillow stops, in the later frames of a GIF too: they may grow it.
        Image.MAX_IMAGE_PIXELS = limits.max_pixels
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.size, limits, field)
            yield image
    except InvalidImage:
        raise
    except Image.DecompressionBombError as error:
        got = f"more than {2 * limits.max_pixels} pixels"
        raise ImageTooLarge(field, got=got, allowed=_allowed_size(limits)) from error
    # Pillow's decoders raise nearly anything on broken input, struct.error and IndexError among them.
    except Exception as error:
        raise InvalidImage(
            field,
            got=f"{len(data)} bytes that are no whole picture",
            allowed="a complete PNG, JPEG, GIF, BMP or WebP picture",
        ) from error


def _check_parts(data: bytes, field: str) -> None:
    """Pillow walks over every part of a file, and libjpeg over the whole picture for every scan."""
    if data.startswith(JPEG_MAGIC) and data.count(SCAN) > MAX_SCANS:
        raise InvalidImage(field, got=f"more than {MAX_SCANS} scans", allowed=f"at most {MAX_SCANS} scans")
    parts = list(islice(_parts(data), MAX_PARTS + 1))
    if len(parts) > MAX_PARTS:
        raise InvalidImage(field, got=f"more than {MAX_PARTS} parts", allowed=f"at most {MAX_PARTS} parts")
    packed = sum(_is_packed(data, at) for at in parts)
    if data.startswith(PNG_MAGIC) and packed > MAX_PACKED:
        raise InvalidImage(field, got=f"{packed} packed parts", allowed=f"at most {MAX_PACKED} packed parts")
    exif = sum(int.from_bytes(data[at + 2 : at + 4]) for at in parts if data.startswith(EXIF, at + 4))
    if data.startswith(JPEG_MAGIC) and exif > MAX_EXIF_BYTES:
        allowed = f"at most {MAX_EXIF_BYTES} bytes of Exif"
        raise InvalidImage(field, got=f"{exif} bytes of Exif", allowed=allowed)
    is_run_length = data.startswith(b"BM") and data[30:34] in (b"\1\0\0\0", b"\2\0\0\0")
    if is_run_length and len(data) > MAX_RUN_BYTES:
        raise InvalidImage(field, got=f"{len(data)} bytes", allowed=f"at most {MAX_RUN_BYTES} bytes")


def _is_packed(data: bytes, at: int) -> bool:
    """Whether that chunk of a PNG will be unpacked; the byte after its keyword says it of an iTXt."""
    if data.startswith(b"iTXt", at + 4):
        return data[data.find(b"\0", at + 8) + 1 :][:1] == b"\1"
    return data.startswith(PACKED, at + 4)


def _parts(data: bytes) -> Iterator[int]:
    """Where the chunks of a PNG are, the segments of a JPEG before its first scan, or the blocks of a GIF
    before its first frame."""
    place = len(PNG_MAGIC)
    while data.startswith(PNG_MAGIC) and place < len(data):
        yield place
        place += 12 + int.from_bytes(data[place : place + 4])
    place = len(JPEG_MAGIC) - 1
    while data.startswith(JPEG_MAGIC) and place + 3 < len(data) and data[place] == 0xFF:
        yield place
        marker = data[place + 1]
        if data.startswith(SCAN, place):
            return
        length = 2 + int.from_bytes(data[place + 2 : place + 4])
        place += 1 if marker == FILL else 2 if marker in LONE else length
    if data.startswith(GIF_MAGIC) and len(data) > 13:
        flags = data[10]
        place = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        # What is neither an extension nor a frame is skipped, byte by byte.
        while place < len(data) and data[place] not in FRAME_OR_END:
            yield place
            is_extension = data[place] == EXTENSION
            place += 2 if is_extension else 1
            while is_extension and place < len(data) and data[place]:
                yield place
                place += 1 + data[place]
            place += is_extension


def _check_size(size: tuple[int, int], limits: ImageLimits, field: str) -> None:
    width, height = size
    if max(size) > limits.max_side or width * height > limits.max_pixels:
        raise ImageTooLarge(field, got=f"{width}x{height} pixels", allowed=_allowed_size(limits))
    if min(size) < limits.min_side:
        raise InvalidImage(field, got=f"{width}x{height} pixels", allowed=_allowed_size(limits))


def _allowed_size(limits: ImageLimits) -> str:
    return (
        f"sides of {limits.min_side} to {limits.max_side} pixels "
        f"and at most {limits.max_pixels} pixels in all"
    )


def _orientation(image: Image.Image) -> int:
    """How a camera was held: 1 to 8 of Exif 2.32; 1 for what is no photo of one, or says nothing sensible."""
    if image.format not in PHOTOS or "exif" not in image.info:
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    # What Pillow's reader of TIFF raises on broken ones, which browsers show as they are.
    except (struct.error, KeyError, SyntaxError, TypeError, ValueError, OSError):
        return 1


def _pixels(image: Image.Image, limits: ImageLimits, field: str) -> Picture:
    affordable = max(1, limits.max_pixels // (image.width * image.height))
    frames: list[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]] = []
    size = image.size
    # Not `n_frames`: for a GIF it reads the whole file, which may have a hundred thousand.
    most = min(MAX_FRAMES, affordable) if image.format in ANIMATED else 1
    for frame in islice(ImageSequence.Iterator(image), most):
        _check_size(frame.size, limits, field)
        if frames and frame.size != size:
            break  # frames may grow the canvas: what is of another size cannot be laid on the first
        frames.append(_flatten(frame))
        size = frame.size
    if image.info.get("default_image") and len(frames) > 1:
        frames = frames[1:]  # of an APNG: the picture for programs that cannot move it
    rgb, alpha = frames[0]
    if (orientation := _orientation(image)) in TURNS:
        turned = Image.fromarray(rgb).transpose(TURNS[orientation])
        return Picture(np.asarray(turned))
    if len(frames) == 1:
        return Picture(rgb, alpha)
    return Picture(rgb, alpha, *zip(*frames, strict=True))


def _flatten(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    image.load()  # before its mode is asked for: loading a frame may change it
    if image.mode == "RGB" and not isinstance(image.info.get("transparency"), tuple):
        return np.asarray(image, np.uint8), None
    if image.mode.startswith("I") or image.mode == "F":
        return _flatten_deep(image), None
    if image.mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in image.info:
        return np.asarray(image.convert("RGB"), np.uint8), None
    rgba = image.convert("RGBA")
    if image.format == "BMP" and not rgba.getchannel("A").getbbox():
        # Most programs leave the fourth byte of a BMP's pixels empty, and show the picture all the same.
        return np.asarray(rgba.convert("RGB")), None
    flat = Image.new("RGB", image.size, "white")
    flat.paste(rgba, mask=rgba)
    return np.asarray(flat), np.asarray(rgba.getchannel("A"))


def _flatten_deep(image: Image.Image) -> NDArray[np.uint8]:
    """Sixteen-bit grey: Pillow's own conversion clips at 255, which turns such a picture white."""
    grey = np.asarray(image.convert("I"), np.int64)
    scaled = np.clip(grey // 257, 0, 255) if grey.max(initial=0) > 255 else np.clip(grey, 0, 255)
    return np.repeat(scaled.astype(np.uint8)[:, :, None], 3, axis=2)
