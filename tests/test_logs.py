"""Log lines hold nothing that opens a door."""

import errno
import json
import sys

import pytest
import structlog

from legible.logs import StandardError, configure, hide_secrets


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
