"""Log lines hold nothing that opens a door."""

import base64
import errno
import json
import logging
import re
import sys
from pathlib import Path

import httpx
import pytest
import structlog

from legible.cli.serve import SAMPLE_PICTURE
from legible.logs import StandardError, configure, hide_secrets
from tests.commands import serving


def test_a_log_line_holds_no_key_no_image_and_no_password() -> None:
    line = {
        "event": "somebody used lg_abcdefghijklmnopqrstuvwxyz0123456789ABCDEF",
        "exception": "Traceback ... lg_abcdefghijklmnopqrstuvwxyz0123456789ABCDEF",
        "api_key": "anything",
        "password": "hunter2",
        "image": "iVBORw0KGgo",
        "body_bytes": b"\x89PNG",
        "status": 200,
    }
    assert hide_secrets(None, "info", line) == {
        "event": "somebody used lg_(hidden)",
        "exception": "Traceback ... lg_(hidden)",
        "api_key": "(hidden)",
        "password": "(hidden)",
        "image": "(hidden)",
        "body_bytes": "(4 bytes)",
        "status": 200,
    }


@pytest.mark.parametrize("hidden", ["/x/%6Cg_S3cretS3cretS3cret", "/x/%256Cg_S3cretS3cretS3cret"])
def test_a_key_in_percent_signs_is_hidden_too(hidden: str) -> None:
    assert hide_secrets(None, "info", {"path": hidden}) == {"path": "(hidden)"}


def test_what_other_libraries_say_is_a_line_like_ours(capsys: pytest.CaptureFixture[str]) -> None:
    configured, handlers = structlog.get_config(), logging.getLogger().handlers
    try:
        configure("info")
        logging.getLogger("psycopg").warning("error ignored with %s", "lg_abcdefghijkl")
        logging.getLogger("psycopg").info("nothing to see")
    finally:
        structlog.configure(**configured)
        logging.getLogger().handlers = handlers
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "error ignored with lg_(hidden)"


def test_a_line_that_cannot_be_written_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk:
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stderr", FullDisk())
    StandardError().warning("the journal cannot write")


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configured = structlog.get_config()
    try:
        configure("info")
        picture = "iVBORw0KGgo" * 3
        try:
            raise ValueError(len(picture))
        except ValueError:
            structlog.get_logger().exception("a call broke", trace_id="t")
    finally:
        structlog.configure(**configured)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["trace_id"], line["level"]) == ("a call broke", "t", "error")
    assert "ValueError: 33" in line["exception"]
    assert picture not in str(line)


def test_the_log_of_a_real_run_has_every_trace_id_and_no_secret(tmp_path: Path) -> None:
    picture = base64.b64encode(SAMPLE_PICTURE.read_bytes()).decode()
    stranger, password = "lg_" + "Q" * 43, "correct horse battery staple"
    with serving("--data", tmp_path, folder=tmp_path, LEGIBLE_LOG_LEVEL="debug") as server:
        key = re.search(r"lg_[\w-]{43}", server.said)[0]
        shown = re.search(r"Password +(\S+)", server.said)[1]
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            path, bearer = "/captcha/recognition/image2text", {"authorization": f"Bearer {key}"}
            replies = [
                client.post(path, json={"image": picture}, headers=bearer | {"idempotency-key": "once"}),
                client.post(path, json={"image": picture, "async": True}, headers=bearer),
                client.post(path, json={"image": picture[:-40]}, headers=bearer),
                client.post(path, json={"image": picture}, headers={"authorization": f"Bearer {stranger}"}),
                client.post(f"{path}?key={key}", json={"picture": picture, "password": password}),
                client.post("/api/v1/captcha.php", json={"image": picture, "type": 50200, "api_key": key}),
                client.post("/api/v1/captcha.php", json={"image": 7, "type": "x", "api_key": key}),
                client.post("/createTask", json={"clientKey": key, "task": {"type": "x", "body": picture}}),
                client.post("/in.php", data={"key": key, "method": "base64", "body": picture}),
                client.post("/in.php", data={"key": stranger, "method": "base64", "body": picture}),
                client.post("/v1/recognitions", content=b"{" + picture.encode(), headers=bearer),
                client.post("/login", data={"email": "admin@localhost", "password": shown}),
                client.post("/login", data={"email": "admin@localhost", "password": password}),
                client.get(f"/v1/balance?key={key}", headers=bearer),
                client.get(f"/nothing/at/all?password={password}"),
            ]
    log = (tmp_path / "log").read_text()
    secrets = (key, stranger, shown, password, picture[:40], picture[-60:-20], "PNG\\r", "IHDR")
    assert [secret for secret in secrets if secret in log] == []
    lines = [json.loads(line) for line in log.splitlines()]
    logged = {line["trace_id"] for line in lines if line["event"] == "request"}
    assert {reply.headers["x-trace-id"] for reply in replies} <= logged
    assert replies[0].json()["trace_id"] in logged
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
