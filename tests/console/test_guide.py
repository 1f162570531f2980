"""The docs can be followed: their commands run as pasted, and the table of errors says what clients get."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from legible.console import explain, guide
from legible.dialects.edge import row_of
from legible.dialects.v1.convert import REFUSALS
from legible.errors import BodyTooLarge, InDoubt, codes
from tests.console.conftest import Site
from tests.service import draw

COMMANDS = re.compile(r"```sh\n(.*?)```", re.DOTALL)
LANGUAGES = ("en", "zh_Hans")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_command_of_the_docs_runs_as_pasted(site: Site, language: str, tmp_path: Path) -> None:
    member = site.member(**{"accept-language": language.replace("_", "-")})
    key = member.new_key()
    (tmp_path / "captcha.png").write_bytes(draw(size=(300, 300)))
    commands = COMMANDS.findall(member.get("/llms.txt").text)
    for command in commands:
        assert site.url in command
        ran = subprocess.run(
            ["sh", "-c", command.replace("YOUR_API_KEY", key)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        reply = json.loads(ran.stdout)
        assert (
            reply.get("success")
            or reply.get("code") == 200
            or reply.get("answer")
            or (reply.get("solution") or reply.get("balance"))
        ), ran.stdout
    assert len(commands) == 8


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_link_of_the_docs_leads_somewhere(site: Site, language: str) -> None:
    member = site.member(**{"accept-language": language.replace("_", "-")})
    links = set()
    for chapter in guide.CHAPTERS:
        links |= set(re.findall(r'href="(/[^"#]*)', member.get(f"/guide/{chapter.name}").text))
    assert {"/openapi.json", "/llms.txt", "/guide/errors", "/console/calls"} <= links
    for link in links:
        if not link.startswith(("/language/", "/theme/")):
            assert member.get(link).status_code in (200, 303), link


def test_every_refusal_is_explained() -> None:
    assert set(codes()) == set(explain.EXPLANATIONS)


def test_the_error_table_has_the_codes_of_the_dialects() -> None:
    assert explain.codes("body_too_large") == {
        "acedata": ["413 bad_request"],
        "captchaapi": ["413"],
        "createtask": ["ERROR_TOO_BIG_CAPTCHA_FILESIZE"],
        "v1": ["413 body_too_large"],
    }
    assert explain.codes("insufficient_credit")["acedata"] == ["403 used_up"]
    assert explain.codes("unauthenticated")["createtask"] == [
        "ERROR_KEY_DOES_NOT_EXIST",
        "ERROR_IP_NOT_ALLOWED",
        "ERROR_ACCOUNT_SUSPENDED",
    ]
    assert explain.codes("invalid_image")["createtask"] == [
        "ERROR_IMAGE_TYPE_NOT_SUPPORTED",
        "ERROR_ZERO_CAPTCHA_FILESIZE",
        "ERROR_TOO_BIG_CAPTCHA_FILESIZE",
    ]
    assert explain.codes("bad_request")["createtask"] == [
        "ERROR_BAD_PARAMETERS",
        "ERROR_TASK_ABSENT",
        "ERROR_NO_SUCH_METHOD",
    ]
    for refusal in (BodyTooLarge(limit=1), InDoubt()):
        status = row_of(REFUSALS, refusal).status
        assert explain.codes(refusal.code)["v1"] == [f"{status} {refusal.code}"]
