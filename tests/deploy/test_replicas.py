"""Three replicas are one service: accounts, keys, limits and tasks are shared, and restarts lose nothing."""

import base64
import re
import signal
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from legible.accounts import Accounts
from legible.calls import CallLog
from legible.keys import KeyRing, KeyRules
from tests.deploy.conftest import COUNT, Fleet
from tests.faults.load import IMAGE, TASK, Load, answered_rows
from tests.money import assert_books_balance

PASSWORD = "correct horse battery"
RATE = 5


@dataclass(frozen=True)
class Customer:
    """An account of the test's own, with a key."""

    fleet: Fleet
    account_id: int
    email: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def charged(self) -> int:
        """How many calls were paid for."""
        paid = CREDIT - CallLog(self.fleet.database).balance(self.account_id)
        return paid // 1000


CREDIT = 10**9


def customer(fleet: Fleet, **rules: object) -> Customer:
    email = f"{uuid.uuid4().hex}@example.com"
    account = Accounts(fleet.database, CREDIT).create(email, PASSWORD)
    rules = {"rate_per_second": 0} | rules
    return Customer(
        fleet,
        account.id,
        email,
        KeyRing(fleet.database, 0).create(account.id, "key", KeyRules(**rules)).secret,
    )


def read(client: httpx.Client, who: Customer, **more: str) -> httpx.Response:
    """One text, read and paid."""
    body = {"image": IMAGE}
    return client.post("/captcha/recognition/image2text", json=body, headers=who.headers | more)


def test_a_task_made_on_one_is_ready_on_another(fleet: Fleet) -> None:
    who = customer(fleet)
    with fleet.client(0) as one, fleet.client(1) as two, fleet.client() as any_of_them:
        made = one.post(
            "/captcha/recognition/image2text", json={"image": IMAGE, "async": True}, headers=who.headers
        ).json()
        states = [poll(client, who, made["task_id"]) for client in (two, any_of_them)]
    assert [state["text"] for state in states] == [states[0]["text"]] * 2
    assert states[0]["text"]
    assert who.charged() == 1


def poll(client: httpx.Client, who: Customer, task_id: str) -> dict[str, str]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        state = client.post("/captcha/tasks", json={"task_id": task_id}, headers=who.headers).json()
        if state["status"] == "ready":
            return dict(state)
        time.sleep(0.02)
    pytest.fail("the task did not end")


def test_one_idempotency_key_is_paid_once_whichever_of_them_it_reaches(fleet: Fleet) -> None:
    who, token = customer(fleet), {"Idempotency-Key": f"{uuid.uuid4()}"}

    def ask(replica: int) -> bytes:
        with fleet.client(replica) as client:
            reply = read(client, who, **token)
            assert reply.status_code == 200, reply.text
            return reply.content

    with ThreadPoolExecutor(2 * COUNT) as threads:
        at_once = list(threads.map(ask, [*range(COUNT)] * 2))
    assert {*at_once, *map(ask, range(COUNT))} == {at_once[0]}
    assert who.charged() == 1


def test_the_rate_limit_is_one_for_all(fleet: Fleet) -> None:
    who = customer(fleet, rate_per_second=RATE)
    clients = [fleet.client(number) for number in range(COUNT)]

    def call(number: int) -> int:
        # A body that is wrong counts like any other, and costs nothing.
        client = clients[number % COUNT]
        return client.post("/captcha/recognition/image2text", json={}, headers=who.headers).status_code

    with ThreadPoolExecutor(12) as threads:
        # A machine that is too busy to be over the limit tells nothing, and one that stood still for half a
        # second has a replica that counts alone for two.
        for _ in range(10):
            list(threads.map(call, range(COUNT)))
            time.sleep(2.5)
            began = time.monotonic()
            outcomes = Counter(threads.map(call, range(10 * COUNT)))
            seconds = int(time.monotonic() - began) + 1
            assert set(outcomes) <= {400, 429}
            if seconds < COUNT and outcomes[400] <= RATE * seconds:
                break
        else:
            pytest.fail(f"always over the rate: {outcomes} in {seconds} s")
    for client in clients:
        client.close()
    assert RATE <= outcomes[400] < RATE * COUNT


def test_the_log_of_nginx_has_no_key(fleet: Fleet) -> None:
    who = customer(fleet)
    with fleet.client() as client:
        told = client.get("/res.php", params={"key": who.key, "action": "getbalance"})
    assert told.status_code == 200
    log = log_with(fleet, "GET /res.php 200")
    assert who.key not in log


def log_with(fleet: Fleet, line: str) -> str:
    """The log of nginx once it has `line`: nginx writes it after the client has its answer."""
    end = time.monotonic() + 10
    while line not in (log := fleet.access_log.read_text("utf-8")):
        assert time.monotonic() < end, f"no {line!r} in {log!r}"
        time.sleep(0.05)
    return log


def test_a_key_that_is_revoked_on_one_is_dead_on_all_within_a_second(fleet: Fleet) -> None:
    who = customer(fleet)
    key_id = KeyRing(fleet.database, 0).list(who.account_id)[0].id
    with fleet.client(0) as one, fleet.client(1) as two, fleet.client(2) as three:
        assert [read(client, who).status_code for client in (one, two, three)] == [200] * COUNT
        log_in(one, who)
        post(one, f"/console/keys/{key_id}/delete", {}, at="/console/keys")
        time.sleep(1)
        assert [read(client, who).status_code for client in (two, three, one)] == [401] * COUNT
    assert who.charged() == COUNT


def test_who_logs_in_on_one_is_known_on_all_and_logged_out_of_all(fleet: Fleet) -> None:
    who = customer(fleet)
    with fleet.client(0) as one, fleet.client(1) as two, fleet.client(2) as three:
        log_in(one, who)
        for other in (two, three):
            other.cookies = one.cookies
            assert who.email in other.get("/console/settings").text
        post(two, "/logout", {}, at="/console/settings")
        assert [client.get("/console/settings").status_code for client in (one, three)] == [303, 303]


def log_in(client: httpx.Client, who: Customer) -> None:
    form = {"email": who.email, "password": PASSWORD}
    assert post(client, "/login", form, at="/login").status_code == 303


def post(client: httpx.Client, path: str, form: dict[str, str], at: str) -> httpx.Response:
    """A form with the token of the page that it stands on."""
    token = re.search(r'name="csrf" value="(\w+)"', client.get(at).text)
    assert token
    reply = client.post(path, data=form | {"csrf": token[1]})
    assert reply.status_code < 400, reply.text
    return reply


def test_nginx_speaks_tls_only_and_keeps_the_numbers_to_itself(fleet: Fleet) -> None:
    with httpx.Client(base_url=fleet.plain_url, trust_env=False) as plain:
        moved = plain.get("/docs")
    assert (moved.status_code, moved.headers["location"]) == (308, "https://127.0.0.1/docs")
    with fleet.client() as client:
        assert client.get("/docs").status_code == 200
        assert client.get("/metrics").status_code == 404
        assert "max-age" in client.get("/docs").headers["strict-transport-security"]
        # The console knows that it is on TLS, so its cookies stay there.
        assert "Secure" in client.get("/login").headers["set-cookie"]


def test_a_body_over_the_limit_is_refused_in_the_words_of_the_api(fleet: Fleet) -> None:
    who = customer(fleet)
    with fleet.client() as client:
        body = {"image": base64.b64encode(b"0" * 6_000_000).decode()}
        reply = client.post("/captcha/recognition/image2text", json=body, headers=who.headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "bad_request")


def test_an_address_is_believed_from_nginx_and_from_nobody_else(fleet: Fleet) -> None:
    here, elsewhere = customer(fleet, addresses=["127.0.0.1"]), customer(fleet, addresses=["203.0.113.7"])
    lie = {"X-Forwarded-For": "203.0.113.7"}
    with fleet.client() as through_nginx, fleet.client(0) as as_nginx:
        assert read(through_nginx, here).status_code == 200
        # What a client says about its own address is thrown away.
        assert read(through_nginx, elsewhere, **lie).status_code == 401
        assert read(through_nginx, here, **lie).status_code == 200
        # The replica believes nginx, which is here.
        assert read(as_nginx, elsewhere, **lie).status_code == 200
        assert read(as_nginx, here, **lie).status_code == 401
    (call,) = CallLog(fleet.database).page(elsewhere.account_id).calls[:1]
    assert call.address == "203.0.113.7"


class Crowd(Load):
    """Clients that come through nginx. Its own words for a replica that is gone count as no answer."""

    fleet: Fleet

    def connect(self) -> httpx.Client:
        client = self.fleet.client()
        client.event_hooks = {"response": [refuse_words_of_nginx]}
        client.timeout = httpx.Timeout(300)
        return client


def refuse_words_of_nginx(reply: httpx.Response) -> None:
    if reply.status_code in (502, 504) and reply.headers["content-type"] == "text/html":
        raise httpx.RemoteProtocolError("nginx got no answer")


def crowd(fleet: Fleet, who: Customer) -> Crowd:
    load = Crowd(fleet.url, who.key)
    load.fleet = fleet
    return load


@pytest.mark.timeout(600)
def test_replicas_that_are_restarted_one_by_one_under_load_lose_no_call(fleet: Fleet) -> None:
    who = customer(fleet)
    before = answered_rows(fleet.database)
    with crowd(fleet, who) as load:
        for replica in fleet.replicas:
            load.wait_for(20)
            assert replica.stop() == 0
            load.wait_for(5)
            replica.start()
            replica.wait_until_ready()
        load.wait_for(20)
    assert (load.interrupted, load.refused) == ([], [])
    assert set(load.answered.values()) == answered_rows(fleet.database) - before
    assert who.charged() == len(load.answered)
    assert_books_balance(fleet.database)


@pytest.mark.timeout(600)
def test_a_replica_that_is_killed_takes_only_its_own_calls_with_it(fleet: Fleet) -> None:
    who = customer(fleet)
    victim = fleet.replicas[1]
    with crowd(fleet, who) as load:
        load.wait_for(20)
        assert victim.stop(signal.SIGKILL) == -signal.SIGKILL
        load.wait_for(20)
        victim.start()
        victim.wait_until_ready()
    # A task that the victim was working on is told as lost; whoever got no answer asks again, and pays once.
    assert [text for token, _, text in load.refused if not token.startswith(TASK)] == []
    assert who.charged() >= len(load.answered)
    with load.connect() as client:
        for token in [*load.interrupted, *(token for token, _, _ in load.refused)]:
            assert load.ask(client, token)
            assert token in load.answered
    assert who.charged() == len(load.answered)
    assert_books_balance(fleet.database)
