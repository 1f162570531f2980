"""Pictures that are broken, huge or hostile, made here: `python -m tests.broken_pictures FOLDER` writes them.

`python -m tests.broken_pictures` decodes each as the service does and prints a line of JSON: by name the
outcome and the CPU milliseconds of the best of three tries, and how much memory all took.
"""

import io
import json
import random
import resource
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw

from legible.errors import InvalidImage
from legible.images import decode
from legible.tasks import ImageLimits

LIMITS = ImageLimits()
WIDE, HIGH = 4096, 1953  # 8 megapixels
TRIES = 3
MEMORY_BYTES = 2 * 1024**3
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
END = b"\xff\xd9"


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@cache
def _drawn(width: int = 120, height: int = 40) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    shades = random.Random(1)
    for _ in range(60):
        place = [(shades.randrange(width), shades.randrange(height)) for _ in range(2)]
        draw.line(place, fill=tuple(shades.randrange(256) for _ in range(3)))
    return image


@cache
def good() -> dict[str, bytes]:
    """One whole picture of each format, to be broken."""
    image = _drawn()
    frames = [image.rotate(angle) for angle in range(0, 50, 10)]
    many = {"save_all": True, "append_images": frames, "duration": 50, "loop": 0}
    return {
        "png": _encoded(image, "PNG"),
        "png-16": _encoded(image.convert("I;16"), "PNG"),
        "png-alpha": _encoded(image.convert("RGBA"), "PNG"),
        "apng": _encoded(image, "PNG", **many),
        "jpeg": _encoded(image, "JPEG"),
        "jpeg-progressive": _encoded(image, "JPEG", progressive=True),
        "gif": _encoded(image, "GIF", **many),
        "bmp": _encoded(image, "BMP"),
        "webp": _encoded(image, "WEBP"),
        "webp-lossless": _encoded(image, "WEBP", lossless=True),
        "webp-animated": _encoded(image, "WEBP", **many),
    }


def corpus() -> dict[str, bytes]:
    """Every broken picture, by a name that says what is wrong with it."""
    made = dict(_damaged())
    for part in (_png(), _jpeg(), _gif(), _webp(), _bmp(), _other()):
        made |= part
    return made


def _damaged() -> Iterator[tuple[str, bytes]]:
    """Every good one cut short, and with bytes turned over."""
    dice = random.Random(2)
    for name, data in good().items():
        for eighth in range(1, 8):
            yield f"{name}, cut at {eighth}/8", data[: len(data) * eighth // 8]
        for turn in range(12):
            turned = bytearray(data)
            for _ in range(1 + turn):
                turned[dice.randrange(len(turned))] = dice.randrange(256)
            yield f"{name}, {1 + turn} bytes turned ({turn})", bytes(turned)


def _chunk(kind: bytes, data: bytes = b"", crc: int | None = None) -> bytes:
    found = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", found)


def _header(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def _png() -> dict[str, bytes]:
    row = b"\0" + b"\x80" * (3 * 64)
    data = _chunk(b"IDAT", zlib.compress(row * 64))
    start, end = PNG_MAGIC + _header(64, 64), _chunk(b"IEND")
    flat = _chunk(b"IDAT", zlib.compress((b"\0" + bytes(3 * WIDE)) * HIGH, 9))
    zeros = zlib.compress(bytes(200_000_000), 9)
    many = b"".join(_chunk(b"IDAT", zlib.compress(row * 64)[at : at + 1]) for at in range(20))
    return {
        "png, 8 megapixels in 30 KB": PNG_MAGIC + _header(WIDE, HIGH) + flat + end,
        "png, 8 megapixels and no data": PNG_MAGIC + _header(WIDE, HIGH) + _chunk(b"IDAT", b"x") + end,
        "png, 30000 x 30000": PNG_MAGIC + _header(30_000, 30_000) + data + end,
        "png, 2147483647 x 1": PNG_MAGIC + _header(2**31 - 1, 1) + data + end,
        "png, 0 x 0": PNG_MAGIC + _header(0, 0) + data + end,
        "png, header with a wrong crc": PNG_MAGIC
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0), crc=1)
        + data
        + end,
        "png, data with a wrong crc": start + _chunk(b"IDAT", zlib.compress(row * 64), crc=1) + end,
        "png, no end": start + data,
        "png, no data": start + end,
        "png, data that is not zlib": start + _chunk(b"IDAT", b"\xff" * 500) + end,
        "png, data of 200 MB in 200 KB": start + _chunk(b"IDAT", zeros) + end,
        "png, text of 200 MB in 200 KB": start + _chunk(b"zTXt", b"a\0\0" + zeros) + data + end,
        "png, international text of 200 MB": start + _chunk(b"iTXt", b"a\0\1\0\0\0" + zeros) + data + end,
        "png, profile of 200 MB in 200 KB": start + _chunk(b"iCCP", b"a\0\0" + zeros) + data + end,
        "png, 3900 profiles of a megabyte each": start
        + _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1_000_000), 9)) * 3900
        + data
        + end,
        "png, 60 texts of a megabyte each": start
        + _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 9)) * 60
        + data
        + end,
        "png, a million bytes of empty chunks": start + _chunk(b"teSt") * 83_000 + data + end,
        "png, four million bytes of empty text": start + _chunk(b"tEXt", b"a\0") * 280_000 + data + end,
        "png, data in one-byte chunks": start + many + end,
        "png, data in 300000 empty chunks": start + _chunk(b"IDAT") * 300_000 + data + end,
        "png, chunk longer than the file": start + b"\x7f\xff\xff\xffIDAT" + b"x" * 100,
        "png, chunk of negative length": start + b"\xff\xff\xff\xffIDAT" + b"x" * 100,
        "png, header inside header": PNG_MAGIC + _header(64, 64) * 1000 + data + end,
        "png, no palette": PNG_MAGIC + _header(64, 64, 8, 3) + data + end,
        "png, palette of 999 bytes": PNG_MAGIC
        + _header(64, 64, 8, 3)
        + _chunk(b"PLTE", b"x" * 999)
        + data
        + end,
        "png, depth 7": PNG_MAGIC + _header(64, 64, 7, 2) + data + end,
        "png, colour 9": PNG_MAGIC + _header(64, 64, 8, 9) + data + end,
        "png, interlaced and cut short": PNG_MAGIC + _header(WIDE, HIGH, 8, 2, 1) + data + end,
        "png, filter 200": start + _chunk(b"IDAT", zlib.compress((b"\xc8" + row[1:]) * 64)) + end,
        "png, says 10000 frames": start + _chunk(b"acTL", struct.pack(">II", 10_000, 0)) + data + end,
        "png, frame outside of it": start
        + _chunk(b"acTL", struct.pack(">II", 2, 0))
        + _chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 64, 64, 0, 0, 1, 10, 0, 0))
        + data
        + _chunk(b"fcTL", struct.pack(">IIIIIHHBB", 1, 9999, 9999, 9999, 9999, 1, 10, 0, 0))
        + _chunk(b"fdAT", b"\0\0\0\2" + zlib.compress(row * 64))
        + end,
        "png, 10000 real frames": _many_png_frames(),
    }


def _many_png_frames() -> bytes:
    row = zlib.compress((b"\0" + bytes(3 * 16)) * 16)
    place = struct.pack(">IIII", 16, 16, 0, 0)
    frames = []
    for number in range(10_000):
        head = struct.pack(">I", 2 * number + 1) + place + struct.pack(">HHBB", 1, 10, 0, 0)
        frames.append(_chunk(b"fcTL", head) + _chunk(b"fdAT", struct.pack(">I", 2 * number + 2) + row))
    first = _chunk(b"fcTL", struct.pack(">I", 0) + place + struct.pack(">HHBB", 1, 10, 0, 0))
    count = _chunk(b"acTL", struct.pack(">II", 10_001, 0))
    return PNG_MAGIC + _header(16, 16) + count + first + _chunk(b"IDAT", row) + b"".join(frames)


def _segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def _jpeg() -> dict[str, bytes]:
    small, whole = _encoded(_drawn(), "JPEG"), _encoded(Image.new("RGB", (WIDE, HIGH), "grey"), "JPEG")
    resized = bytearray(small)
    frame = small.index(b"\xff\xc0")
    resized[frame + 5 : frame + 9] = struct.pack(">HH", 65_500, 65_500)
    grown = bytearray(small)
    grown[frame + 5 : frame + 9] = struct.pack(">HH", HIGH, WIDE)
    arithmetic = bytearray(small)
    arithmetic[frame + 1] = 0xC9
    lossless = bytearray(small)
    lossless[frame + 1] = 0xC3
    return {
        "jpeg, 65500 x 65500": bytes(resized),
        "jpeg, 8 megapixels and data for a stamp": bytes(grown),
        "jpeg, 8 megapixels cut at half": whole[: len(whole) // 2],
        "jpeg, arithmetic coding": bytes(arithmetic),
        "jpeg, lossless": bytes(lossless),
        "jpeg, thousands of scans": _many_scans((1024, 1024), 4000),
        "jpeg, thousands of scans over 8 megapixels": _many_scans((WIDE, HIGH), 4000),
        "jpeg, four million bytes of scans": _many_scans((WIDE, HIGH), 60_000),
        "jpeg, thousands of tables": small[:2] + _segment(0xDB, b"\0" + b"\1" * 64) * 50_000 + small[2:],
        "jpeg, comments up to the limit": small[:2] + _segment(0xFE, b"c" * 65_000) * 60 + small[2:],
        "jpeg, profile of 60 parts": small[:2]
        + b"".join(_segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 60)) + b"p" * 60_000) for n in range(1, 61))
        + small[2:],
        "jpeg, exif that points at itself": small[:2]
        + _segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x69\x87\4\0\1\0\0\0\x08\0\0\0" * 500)
        + small[2:],
        "jpeg, exif of 65535 entries": small[:2]
        + b"".join(
            _segment(0xE1, b"Exif\0\0" + part)
            for part in _cut(b"II*\0\x08\0\0\0\xff\xff" + b"\x0f\1\3\0\1\0\0\0\1\0\0\0" * 65_535, 65_000)
        )
        + small[2:],
        "jpeg, no tables": small[:2] + small[frame:],
        "jpeg, only markers": b"\xff\xd8" + b"\xff" * 3_000_000,
        "jpeg, starts 100000 times": b"\xff\xd8" * 100_000 + small,
        "jpeg, restart at every block": small[:frame] + _segment(0xDD, b"\0\1") + small[frame:],
        "jpeg, restarts without end": small[:-2] + b"\xff\xd0" * 500_000 + END,
        "jpeg, segment of length 0": small[:2] + b"\xff\xe0\0\0" + small[2:],
        "jpeg, 255 components": small[: frame + 9] + b"\xff" + small[frame + 10 :],
    }


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _many_scans(size: tuple[int, int], scans: int) -> bytes:
    """A progressive picture whose last scan comes again and again: each costs a walk over all blocks."""
    data = _encoded(Image.new("RGB", size, "grey"), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return (data[:last] + data[last:-2] * scans)[: LIMITS.max_bytes - 2] + END


def _gif() -> dict[str, bytes]:
    small = _encoded(_drawn(16, 16), "GIF")
    frame = _encoded(Image.new("P", (16, 16)), "GIF")
    block = frame[frame.index(b",\0\0\0\0") : -1]
    wide = struct.pack("<HH", WIDE, HIGH)
    large = _encoded(Image.new("P", (1024, 256)), "GIF")
    return {
        "gif, 10000 frames": small[:-1] + block * 10_000 + b";",
        "gif, 100000 frames": small[:-1] + block * 100_000 + b";",
        "gif, 10000 frames on 8 megapixels": b"GIF89a" + wide + small[10:-1] + block * 10_000 + b";",
        "gif, 32 frames on 500 x 500": b"GIF89a"
        + struct.pack("<HH", 500, 500)
        + small[10:-1]
        + block * 32
        + b";",
        "gif, 65535 x 65535": b"GIF89a" + b"\xff\xff\xff\xff" + small[10:],
        "gif, frame of 65535 x 65535": small[:-1] + b",\0\0\0\0\xff\xff\xff\xff" + block[9:] + b";",
        "gif, frame far outside": small[:-1] + b",\xff\xff\xff\xff" + block[5:] + b";",
        "gif, no frame": small[:13] + b";",
        "gif, comment of four million bytes": small[:-1]
        + b"!\xfe"
        + (b"\xff" + b"c" * 255) * 15_000
        + b"\0;",
        "gif, a million empty extensions": small[:-1] + b"!\xf9\0" * 1_000_000 + b";",
        "gif, two million comments of a byte before the first frame": small[:13]
        + b"!\xfe"
        + b"\1c" * 2_000_000
        + b"\0"
        + block
        + b";",
        "gif, four million bytes of nothing before the first frame": small[:13]
        + bytes(4_000_000)
        + block
        + b";",
        "gif, code size 255": small[:-1] + block[:10] + b"\xff" + block[11:] + b";",
        "gif, data without end": large[:-2] + b"\xff" + b"\x55" * 255,
        "gif, only a header": b"GIF89a",
    }


def _webp() -> dict[str, bytes]:
    small = _encoded(_drawn(), "WEBP")
    flat = Image.new("RGB", (16, 16), "grey")
    frames = [Image.new("RGB", (16, 16), (n % 256, n // 256, 0)) for n in range(1, 300)]
    animated = _encoded(flat, "WEBP", save_all=True, append_images=frames, duration=10)
    return {
        "webp, 10000 frames": _repeated(animated, 10_000),
        "webp, canvas of 16384 x 16384": _canvas(animated, 16_383, 16_383),
        "webp, canvas of 8 megapixels with small frames": _canvas(animated, WIDE - 1, HIGH - 1),
        "webp, size that is wrong": small[:4] + b"\xff\xff\xff\x7f" + small[8:],
        "webp, size 0": small[:4] + b"\0\0\0\0" + small[8:],
        "webp, 8 megapixels cut at half": _half(_encoded(Image.new("RGB", (WIDE, HIGH), "grey"), "WEBP")),
        "webp, lossless noise": b"RIFF\x30\1\0\0WEBPVP8L\x24\1\0\0\x2f\xff\xc7\xff\x01"
        + bytes(range(256)) * 2,
        "webp, empty chunks": b"RIFF\xff\xff\x0f\0WEBP" + b"VP8 \0\0\0\0" * 100_000,
        "webp, only a header": b"RIFF\4\0\0\0WEBP",
    }


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _repeated(animated: bytes, times: int) -> bytes:
    """The last frame again and again."""
    at = animated.rindex(b"ANMF")
    body = animated[12:at] + animated[at:] * times
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _canvas(animated: bytes, width: int, height: int) -> bytes:
    at = animated.index(b"VP8X") + 12
    size = struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
    return animated[:at] + size + animated[at + 6 :]


def _bitmap(width: int, height: int, bits: int, compression: int, data: bytes, offset: int = 54) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, offset) + head + data


def _bmp() -> dict[str, bytes]:
    palette = bytes(1024)
    return {
        "bmp, 8 megapixels and 10 bytes": _bitmap(WIDE, HIGH, 24, 0, b"x" * 10),
        "bmp, 2147483647 high": _bitmap(64, 2**31 - 1, 24, 0, b"x" * 100),
        "bmp, negative height": _bitmap(64, -64, 24, 0, b"x" * (64 * 64 * 3)),
        "bmp, lowest height": _bitmap(64, -(2**31), 24, 0, b"x" * 100),
        "bmp, negative width": _bitmap(-64, 64, 24, 0, b"x" * 100),
        "bmp, run-length of 8 megapixels": _bitmap(WIDE, HIGH, 8, 1, palette + b"\xff\7" * 31_500, 1078),
        "bmp, run-length of jumps": _bitmap(WIDE, HIGH, 8, 1, palette + b"\0\2\xff\xff" * 500_000, 1078),
        "bmp, run-length of line ends": _bitmap(64, 64, 8, 1, palette + b"\0\0" * 1_500_000, 1078),
        "bmp, run-length of nothing": _bitmap(WIDE, HIGH, 8, 1, palette + b"\0\7" * 1_500_000, 1078),
        "bmp, data far away": _bitmap(64, 64, 24, 0, b"x" * 100, 2**31),
        "bmp, depth 3": _bitmap(64, 64, 3, 0, b"x" * 100),
        "bmp, jpeg inside": _bitmap(64, 64, 0, 4, _encoded(_drawn(), "JPEG")),
        "bmp, unknown header": b"BM" + b"\xff" * 200,
    }


def _other() -> dict[str, bytes]:
    dice = random.Random(3)
    image = _drawn()
    magic = {"png": PNG_MAGIC, "jpeg": b"\xff\xd8\xff\xe0", "gif": b"GIF89a", "webp": b"RIFF", "bmp": b"BM"}
    return {
        **{f"noise that begins as {name}": start + dice.randbytes(20_000) for name, start in magic.items()},
        "no bytes": b"",
        "one byte": b"\x89",
        "four million zeros": bytes(4_000_000),
        "tiff": _encoded(image, "TIFF"),
        "ico": _encoded(image, "ICO"),
        "tga": _encoded(image, "TGA"),
        "pdf": _encoded(image, "PDF"),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        "two pictures in one": _encoded(image, "PNG") + _encoded(image, "JPEG"),
        "larger than allowed": bytes(LIMITS.max_bytes + 1),
    }


def outcome(data: bytes) -> str:
    """What a caller is told, in a word or two."""
    try:
        picture = decode(data, LIMITS)
    except InvalidImage:
        return "refused"
    return f"{picture.rgb.shape[1]}x{picture.rgb.shape[0]}, {len(picture.frames) or 1} frames"


def measured(task: Callable[[], object]) -> float:
    """CPU milliseconds of this thread, the best of a few tries."""
    tries = []
    for _ in range(TRIES):
        began = time.thread_time()
        task()
        tries.append(1000 * (time.thread_time() - began))
    return min(tries)


def main() -> None:
    # A picture that wants more is a failure of ours, and no reason to take the machine along.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    pictures = corpus()
    if sys.argv[1:]:
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, data) in enumerate(pictures.items()):
            (folder / f"{number:03} {name.replace('/', ' of ')}").write_bytes(data)
        return
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {name: outcome(data) for name, data in pictures.items()}
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    times = {name: measured(lambda data=data: outcome(data)) for name, data in pictures.items()}
    print(json.dumps({"outcomes": outcomes, "cpu_ms": times, "grown_kb": grown}))


if __name__ == "__main__":
    main()
