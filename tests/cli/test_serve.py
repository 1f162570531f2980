import json
import re
import signal
import socket
import sqlite3
import time
from contextlib import closing
from http.client import HTTPConnection

import httpx
import pytest

from tests.commands import Legible, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


def test_the_first_run_shows_an_administrator_and_a_key_and_later_runs_only_the_address(folder) -> None:
    with serving("--data", folder, folder=folder) as first:
        key = re.search(r"lg_[\w-]{43}", first.said)
        assert key
        assert "admin@localhost" in first.said
        answer = httpx.get(f"{first.url}/v1/balance", headers={"authorization": f"Bearer {key[0]}"})
        assert answer.status_code == 200
        assert httpx.get(f"{first.url}/docs").status_code == 200
    with serving("--data", folder, folder=folder) as later:
        assert later.said == f"Legible is ready at {later.url}\n"


def test_neither_key_nor_password_is_kept_in_the_folder(tmp_path) -> None:
    with serving("--data", tmp_path, folder=tmp_path) as server:
        secrets = re.findall(r"(?:API key|Password) +(\S+)", server.said)
    assert len(secrets) == 2
    kept = [path for path in tmp_path.iterdir() if path.name != "said"]
    for path in kept:
        assert not any(secret.encode() in path.read_bytes() for secret in secrets), path


def test_commands_work_beside_a_running_server_and_are_felt_within_a_second(bare: Legible, tmp_path) -> None:
    with serving("--data", tmp_path, folder=tmp_path) as server:
        bare("user", "add", "ada@example.com", "--data", tmp_path)
        made = bare("key", "add", "ada@example.com", "--name", "tests", "--json", "--data", tmp_path).json
        with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {made['key']}"}) as client:
            before = client.get("/v1/balance")
            bare("user", "topup", "ada@example.com", "5", "--reason", "a gift", "--data", tmp_path)
            after = client.get("/v1/balance")
            assert (before.status_code, after.status_code) == (200, 200)
            assert before.json() != after.json()
            client.post("/captcha/recognition/image2text", json={})
            (call,) = bare("calls", "--email", "ada@example.com", "--json", "--data", tmp_path).json
            assert (call["outcome"], call["cost"]) == ("bad_request", "0")
            bare("key", "revoke", made["id"], "--data", tmp_path)
            _until_refused(client)


def _until_refused(client: httpx.Client) -> None:
    deadline = time.monotonic() + 1.0
    asked = time.monotonic()
    while client.get("/v1/balance", timeout=30).status_code != 401:
        assert asked < deadline, "a revoked key still worked after a second"
        time.sleep(0.05)
        asked = time.monotonic()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_was_asked_for_is_a_success(folder, number) -> None:
    with serving("--data", folder, folder=folder) as server:
        server.process.send_signal(number)
        assert server.process.wait(30) == 0


def test_an_account_that_is_there_already_means_no_first_run(bare: Legible, tmp_path) -> None:
    bare("user", "add", "ada@example.com", "--data", tmp_path)
    with serving("--data", tmp_path, folder=tmp_path) as server:
        assert "lg_" not in server.said
    with closing(sqlite3.connect(tmp_path / "legible.db")) as connection:
        assert connection.execute("SELECT count(*) FROM account").fetchone() == (1,)


def test_a_port_that_is_taken_is_a_sentence_and_nothing_is_made(bare: Legible, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = bare("serve", "--port", taken.getsockname()[1], "--data", tmp_path / "new")
    assert (ran.code, ran.out) == (1, "")
    assert "choose another with --host and --port" in ran.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("url", ["localhost:6379", "redis://:se/cret@localhost:6379"])
def test_a_redis_url_that_is_none_is_a_sentence_and_nothing_is_made(
    bare: Legible, tmp_path, url: str
) -> None:
    ran = bare("serve", "--redis", url, "--data", tmp_path / "new")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("legible: The setting redis_url (LEGIBLE_REDIS_URL) is wrong: ")
    assert "se/" not in ran.err
    assert "'se'" not in ran.err
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_every_address_is_one_of_ipv4_too(tmp_path) -> None:
    proxies = {"LEGIBLE_TRUSTED_PROXIES": "127.0.0.1"}
    with serving("--data", tmp_path, "--host", "::", folder=tmp_path, **proxies) as server:
        assert server.url.startswith("http://127.0.0.1:")
        key = re.findall(r"lg_[\w-]{43}", server.said)[0]
        with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"}) as client:
            client.post("/captcha/recognition/image2text", json={})
            client.post("/captcha/recognition/image2text", json={}, headers={"X-Forwarded-For": "192.0.2.9"})
            rows = client.get("/v1/calls").json()["calls"]
    assert [row["address"] for row in rows] == ["192.0.2.9", "127.0.0.1"]


def test_an_address_that_is_not_ours_is_a_sentence(bare: Legible, tmp_path) -> None:
    ran = bare("serve", "--host", "192.0.2.1", "--data", tmp_path / "new")
    assert (ran.code, ran.err.startswith("legible: Cannot listen on 192.0.2.1")) == (1, True)


@pytest.mark.parametrize("words", [("--engine", "abacus"), ("--port", "70000"), ("--port", "http")])
def test_a_wrong_option_is_a_wrong_command_line(bare: Legible, words) -> None:
    assert bare("serve", *words).code == 2


def test_it_serves_postgresql(bare: Legible, postgresql_url, tmp_path) -> None:
    with serving("--database", postgresql_url, folder=tmp_path) as server:
        assert httpx.get(f"{server.url}/readyz").json()["checks"]["migrations"] is True
        assert bare("user", "list", "--json", "--database", postgresql_url).json[0]["is_admin"] is True
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_a_call_that_offers_http2_arrives_with_its_body(tmp_path) -> None:
    """As Java's HttpClient sends each call over plain HTTP: first the headers, then the body."""
    body = json.dumps({"image": "", "type": 50200, "api_key": "lg_unknown"}).encode()
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAAB"}
    with serving("--data", tmp_path, folder=tmp_path) as server:
        url = httpx.URL(server.url)
        with closing(HTTPConnection(url.host, url.port, timeout=30)) as connection:
            for _ in range(2):
                connection.putrequest("POST", "/api/v1/captcha.php")
                for name, value in {**offer, "Content-Length": str(len(body))}.items():
                    connection.putheader(name, value)
                connection.endheaders()
                time.sleep(0.1)
                connection.send(body)
                reply = connection.getresponse()
                assert (reply.status, json.load(reply)["code"]) == (401, 401)
