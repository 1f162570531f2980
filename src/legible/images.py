"""Safe decoding of pictures that strangers send: limits are checked from the header,
before pixels are decoded."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from legible.errors import InvalidImage

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
MAX_FRAMES = 32

# An 8-megapixel picture is our limit anyway; Pillow's own warning would only be noise.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """`max_bytes` of the encoded picture, `max_side` in pixels, `max_pixels` in all."""

    max_bytes: int = 4 * 1024 * 1024
    max_side: int = 4096
    max_pixels: int = 8_000_000
    min_side: int = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: `rgb` (H, W, 3) uint8 flattened on white, `alpha` (H, W) uint8 or None,
    and for an animation
    `frames`: up to 32 flattened (H, W, 3) frames, the first of which is `rgb`."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    frames: tuple[NDArray[np.uint8], ...] = ()


def decode(data: bytes, limits: ImageLimits = ImageLimits(), *, field: str = "image") -> Picture:
    """The picture in `data`.

    Raises `InvalidImage`, naming `field`, for anything that is not a whole PNG, JPEG, GIF, BMP or WebP
    within `limits`.
    """
    with _opened(data, limits, field) as image:
        return _pixels(image, limits)


def check_header(
    data: bytes,
    limits: ImageLimits = ImageLimits(),
    *,
    field: str = "image",
) -> tuple[int, int]:
    """Width and height as the header tells them: cheap, no pixel is decoded.
    Raises `InvalidImage` as `decode` does."""
    with _opened(data, limits, field) as image:
        return image.size


@contextmanager
def _opened(data: bytes, limits: ImageLimits, field: str) -> Iterator[Image.Image]:
    if not data:
        raise InvalidImage(field, got="no bytes", allowed="a PNG, JPEG, GIF, BMP or WebP picture")
    if len(data) > limits.max_bytes:
        raise InvalidImage(field, got=f"{len(data)} bytes", allowed=f"at most {limits.max_bytes} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image.size, limits, field)
                yield image
    except InvalidImage:
        raise
    # Pillow's decoders raise nearly anything on broken input, struct.error and IndexError among them.
    except Exception as error:
        raise InvalidImage(
            field,
            got=f"{len(data)} bytes that are no whole picture",
            allowed="a complete PNG, JPEG, GIF, BMP or WebP picture",
        ) from error


def _check_size(size: tuple[int, int], limits: ImageLimits, field: str) -> None:
    width, height = size
    allowed = (
        f"sides of {limits.min_side} to {limits.max_side} pixels "
        f"and at most {limits.max_pixels} pixels in all"
    )
    if min(size) < limits.min_side or max(size) > limits.max_side or width * height > limits.max_pixels:
        raise InvalidImage(field, got=f"{width}x{height} pixels", allowed=allowed)


def _pixels(image: Image.Image, limits: ImageLimits) -> Picture:
    affordable = max(1, limits.max_pixels // (image.width * image.height))
    count = min(getattr(image, "n_frames", 1), MAX_FRAMES, affordable)
    if count == 1:
        rgb, alpha = _flatten(image)
        return Picture(rgb, alpha)
    frames = []
    alpha = None
    for index, frame in enumerate(ImageSequence.Iterator(image)):
        if index == count:
            break
        rgb, frame_alpha = _flatten(frame)
        alpha = frame_alpha if index == 0 else alpha
        frames.append(rgb)
    return Picture(frames[0], alpha, tuple(frames))


def _flatten(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    if image.mode == "RGB":
        return np.asarray(image, np.uint8), None
    if image.mode.startswith("I") or image.mode == "F":
        return _flatten_deep(image), None
    if image.mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in image.info:
        return np.asarray(image.convert("RGB"), np.uint8), None
    rgba = image.convert("RGBA")
    flat = Image.new("RGB", image.size, "white")
    flat.paste(rgba, mask=rgba)
    return np.asarray(flat), np.asarray(rgba.getchannel("A"))


def _flatten_deep(image: Image.Image) -> NDArray[np.uint8]:
    """Sixteen-bit grey: Pillow's own conversion clips at 255, which turns such a picture white."""
    grey = np.asarray(image.convert("I"), np.int64)
    scaled = np.clip(grey // 257, 0, 255) if grey.max(initial=0) > 255 else np.clip(grey, 0, 255)
    return np.repeat(scaled.astype(np.uint8)[:, :, None], 3, axis=2)
