"""The vendors' own pages: their sample programs run unchanged but for URL, key and picture;
their replies are ours."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from legible.errors import RecognitionFailed
from legible.prices import PricedType
from legible.tasks import Answer, ClickAnswer, GridAnswer, Kind, Task
from tests.service import Service, Start, base64_of, draw

SAMPLES = Path(__file__).parent / "samples"
LABEL = "Please click on the UNIQUE object among the others."


def find_hydrants(task: Task) -> Answer:
    confidences = (0, 0.0007, 1, 0.0003, 0.0046, 1, 0, 1, 0)
    return GridAnswer("/m/01pns0", 300, confidences, (2, 5, 7), 1.0)


def find_the_odd_one(task: Task) -> Answer:
    return ClickAnswer(LABEL, 0.6354503631591797, (500, 430), (360, 154))


@pytest.fixture
def vendor(start: Start) -> Service:
    """A service that reads every kind of the vendors' samples."""
    service = start({Kind.GRID: find_hydrants, Kind.CLICK: find_the_odd_one})
    for number, kind in ((10300, Kind.GRID), (10400, Kind.CLICK)):
        service.parts.prices.save(PricedType(number, kind, kind, kind, 2000))
    service.set_balance(95_550_000)
    return service


def pictures(value: Any) -> Any:
    """Draws every `<picture WxH>` in a sample's request."""
    if isinstance(value, dict):
        return {name: pictures(each) for name, each in value.items()}
    if isinstance(value, list):
        return [pictures(each) for each in value]
    size = re.fullmatch(r"<picture (\d+)x(\d+)>", value) if isinstance(value, str) else None
    return base64_of(draw(size=(int(size[1]), int(size[2])))) if size else value


def pairs(vendor: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SAMPLES / vendor / "pairs.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("pair", pairs("acedata"), ids=lambda pair: pair["path"])
def test_acedata_answers_as_its_page_shows(vendor: Service, pair: dict[str, Any]) -> None:
    headers = {"accept": "application/json", "authorization": f"Bearer {vendor.key}"}
    reply = vendor.client.post(pair["path"], json=pictures(pair["request"]), headers=headers)
    assert reply.status_code == 200, reply.text
    got, shown = reply.json(), pair["response"]
    if "solution" in shown:
        got, shown = got["solution"], shown["solution"]
    assert {name: got[name] for name in shown} == shown


@pytest.mark.parametrize("pair", pairs("captchaapi"), ids=lambda pair: str(pair["response"]["code"]))
def test_captchaapi_answers_as_its_page_shows(vendor: Service, pair: dict[str, Any]) -> None:
    shown = pair["response"]
    if shown["code"] == 200:
        vendor.reads.text = shown["data"]["result"]
    else:
        vendor.reads.error = RecognitionFailed("unreadable")
        vendor.set_balance(95_500_000)
    body = pictures(pair["request"])
    reply = vendor.client.post("/api/v1/captcha.php", json=body, headers={"X-API-Key": vendor.key})
    got = reply.json()
    assert (reply.status_code, got["code"], got["msg"]) == (shown["code"], shown["code"], shown["msg"])
    fixed = shown["data"].keys() & {"result", "cost", "balance", "group_name"}
    assert {name: got["data"][name] for name in fixed} == {name: shown["data"][name] for name in fixed}
    assert re.fullmatch(r"LOG\d{8}\d{6,}", got["data"]["log_id"])
    assert isinstance(got["data"]["response_time"], int)
    assert isinstance(got["timestamp"], int)
    assert b'"balance":95.5,' in reply.content
    if shown["code"] != 200:
        assert got["data"].keys() == shown["data"].keys()


def changed(sample: Path, service: Service) -> str:
    """The program with our URL, key and picture in it, and nothing else."""
    picture = draw(size=(300, 300) if sample.stem == "recaptcha2" else (120, 40))
    text = sample.read_text("utf-8")
    for vendors, ours in (
        ("https://api.acedata.cloud", str(service.client.base_url).rstrip("/")),
        ("https://captchaapi.com", str(service.client.base_url).rstrip("/")),
        ("{token}", service.key),
        ("your_api_key_here", service.key),
        ("base64_encoded_image_here", base64_of(picture)),
    ):
        text = text.replace(vendors, ours)
    return re.sub(r'"iVBORw0KGgo[^"]*"', f'"{base64_of(picture)}"', text)


RUNNERS: dict[str, Callable[[], str | None]] = {
    ".curl": lambda: shutil.which("curl") and shutil.which("sh"),
    ".python": lambda: sys.executable,
    ".php": lambda: shutil.which("php"),
    ".javascript": lambda: shutil.which("node"),
}
PROGRAMS = sorted(path for path in SAMPLES.glob("*/*") if path.suffix in RUNNERS)


def run(program: str, suffix: str, folder: Path) -> str:
    runner = RUNNERS[suffix]()
    if runner is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            f"nothing here runs a {suffix} program"
        )
    (folder / "captcha.png").write_bytes(draw())
    file = folder / f"program{suffix.replace('javascript', 'js')}"
    file.write_text(program, "utf-8")
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [str(runner), file.name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("sample", PROGRAMS, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_vendor_s_sample_program_runs(vendor: Service, sample: Path, tmp_path: Path) -> None:
    printed = run(changed(sample, vendor), sample.suffix, tmp_path)
    call = vendor.last_call()
    assert (call.outcome, call.dialect) == ("answered", sample.parent.name)
    if sample.parent.name == "captchaapi" and sample.suffix != ".curl":
        assert re.fullmatch(r"识别结果:\s*7364\s*", printed)
    else:
        says = {
            "image2text": '"text":"7364"',
            "recaptcha2": '"objects":[2,5,7]',
            "hcaptcha": '"box":["360","276"]',
        }
        assert says.get(sample.stem, '"result":"7364"') in printed


def test_every_language_of_the_vendors_pages_is_here() -> None:
    found = {(path.parent.name, path.stem, path.suffix) for path in PROGRAMS}
    theirs = {
        ("acedata", api, suffix)
        for api in ("image2text", "recaptcha2", "hcaptcha")
        for suffix in (".curl", ".python")
    }
    assert found == theirs | {("captchaapi", "captcha", suffix) for suffix in RUNNERS}
