"""What a stranger does: serve, paste the line that is printed, and look at the balance and the log."""

import json
import re
import subprocess
from decimal import Decimal

import httpx
from PIL import Image

from legible.cli.serve import SAMPLE_PICTURE
from tests.commands import run, serving

SAMPLE = "8quvvh"  # what our generator drew on src/legible/samples/text.png


def pasted(said: str) -> str:
    """The line of the welcome that a reader pastes."""
    return next(line for line in said.splitlines() if "curl" in line and "base64" in line)


def balance(client: httpx.Client) -> Decimal:
    return Decimal(client.get("/v1/balance").json()["balance"])


def test_the_printed_line_works_as_pasted_and_is_charged_and_logged(tmp_path) -> None:
    with serving("--data", tmp_path, folder=tmp_path) as server:
        key = re.search(r"lg_[\w-]{43}", server.said)[0]
        price = Decimal(re.search(r"costs ¥([\d.]+)", server.said)[1])
        with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"}) as client:
            before = balance(client)
            ran = subprocess.run(
                ["bash", "-c", pasted(server.said)], capture_output=True, check=True, timeout=60
            )
            reply = json.loads(ran.stdout)
            assert (reply["success"], reply["text"]) == (True, SAMPLE)
            assert ran.stderr == b""
            after = balance(client)
        assert before - after == price > 0
        (call,) = run("calls", "--json", "--data", tmp_path, folder=tmp_path).json
        assert (call["trace_id"], call["result"]) == (reply["trace_id"], SAMPLE)
        assert (call["outcome"], Decimal(call["cost"])) == ("answered", price)
        assert Decimal(call["balance"]) == after


def test_in_a_container_the_printed_line_needs_none_of_its_files(tmp_path) -> None:
    with serving("--data", tmp_path, folder=tmp_path, container="docker") as server:
        line = pasted(server.said)
        assert str(SAMPLE_PICTURE) not in line
        ran = subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=60)
        assert json.loads(ran.stdout)["success"]


def test_the_printed_line_works_for_a_picture_of_ones_own_with_any_name_and_size(tmp_path) -> None:
    """A picture over 128 KiB in base64 would not fit an argument of a command."""
    own = tmp_path / "my picture's name.png"
    large = tmp_path / "large.bmp"
    own.write_bytes(SAMPLE_PICTURE.read_bytes())
    Image.open(SAMPLE_PICTURE).convert("RGB").resize((648, 172)).save(large)
    assert large.stat().st_size > 300_000
    with serving("--data", tmp_path, folder=tmp_path) as server:
        line = pasted(server.said)
        for picture in (own, large):
            mine = line.replace(str(SAMPLE_PICTURE), "'" + str(picture).replace("'", "'\\''") + "'")
            ran = subprocess.run(["sh", "-c", mine], capture_output=True, check=True, timeout=60)
            reply = json.loads(ran.stdout)
            assert reply["success"] or reply["error"]["code"] == "recognition_failed"


def test_the_sample_is_read_without_a_server(tmp_path) -> None:
    assert run("read", SAMPLE_PICTURE, "--kind", "text", folder=tmp_path).out == f"{SAMPLE}\n"
