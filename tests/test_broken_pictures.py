"""No picture, however broken or hostile, crashes the decoder, fills the memory, or takes long."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.broken_pictures import good, outcome

ROOT = Path(__file__).parent.parent
LONGEST_CPU_MS = 50
# Whole pictures, as large as is allowed: they cost what such pictures cost.
WHOLE = ("png, 8 megapixels in 30 KB", "webp, canvas of 8 megapixels with small frames")
MOST_GROWN_KB = 300_000


@pytest.fixture(scope="module")
def decoded() -> dict[str, Any]:
    """What a process that decodes them all says; it may take 2 GB, and dies when one wants more."""
    command = [sys.executable, "-m", "tests.broken_pictures"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_every_broken_picture_is_read_or_refused(decoded: dict[str, Any]) -> None:
    outcomes = decoded["outcomes"]
    assert len(outcomes) > 300
    for hostile in (
        "jpeg, thousands of scans over 8 megapixels",
        "jpeg, only markers",
        "jpeg, thousands of tables",
        "jpeg, exif of 65535 entries",
        "png, four million bytes of empty text",
        "png, 3900 profiles of a megabyte each",
        "png, 60 texts of a megabyte each",
        "gif, two million comments of a byte before the first frame",
        "gif, four million bytes of nothing before the first frame",
        "gif, frame of 65535 x 65535",
        "bmp, run-length of line ends",
    ):
        assert outcomes[hostile] == "refused", hostile


def test_none_takes_long(decoded: dict[str, Any]) -> None:
    """In CPU time of its thread, so that a busy machine does not matter."""
    slow = {name: ms for name, ms in decoded["cpu_ms"].items() if ms > 2 * LONGEST_CPU_MS}
    assert {name: ms for name, ms in slow.items() if name not in WHOLE} == {}


def test_none_fills_the_memory(decoded: dict[str, Any]) -> None:
    assert decoded["grown_kb"] < MOST_GROWN_KB


def test_good_ones_are_still_read() -> None:
    assert {name: outcome(data) for name, data in good().items() if "refused" in outcome(data)} == {}


FUZZ = settings(
    max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A good picture with pieces of it, or of another, put where they do not belong."""
    pictures = sorted(good().values())
    data = bytearray(draw(st.sampled_from(pictures)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["byte", "length", "piece", "cut", "again"])):
            case "byte":
                data[place] = draw(st.integers(0, 255))
            case "length":
                data[place : place + 4] = draw(
                    st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
                )
            case "piece":
                other = draw(st.sampled_from(pictures))
                data[place:place] = other[: draw(st.integers(1, 200))]
            case "cut":
                del data[place : place + draw(st.integers(1, 50))]
            case "again":
                data += data[place : place + 100] * draw(st.integers(1, 50))
        if not data:
            return b"x"
    return bytes(data)


@FUZZ
@given(spoiled())
def test_a_spoiled_picture_is_read_or_refused(data: bytes) -> None:
    outcome(data)


@FUZZ
@given(
    st.binary(max_size=3000),
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"BM"]),
)
def test_noise_behind_a_beginning_is_read_or_refused(noise: bytes, beginning: bytes) -> None:
    outcome(beginning + noise)
