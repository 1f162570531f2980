"""Nobody sees or changes what is somebody else's, forms carry tokens, cookies and headers are strict."""

import re
import shutil
import time
from collections.abc import Iterator

import httpx
import pytest
from limits import parse
from starlette.routing import Mount, Route

from legible.app import build_app
from legible.console.attempts import LOG_IN_BY_EMAIL, SIGN_UP_BY_ADDRESS, Attempts
from legible.settings import Settings
from tests.console.conftest import PASSWORD, Person, Site, running
from tests.console.fakes import HOSTILE, RECOGNIZERS, UNREADABLE_SIZE

PUBLIC = {
    "/", "/demo/{file}.json", "/pricing", "/benchmarks", "/guide", "/guide/{name}", "/llms.txt",
    "/login", "/signup", "/logout", "/language/{code}", "/theme/{name}",
}  # fmt: skip


def routes(tmp_path) -> Iterator[tuple[str, str]]:
    """Method and path of every page of the console."""
    app = build_app(Settings(database_url=f"sqlite:///{tmp_path / 'routes.db'}"), RECOGNIZERS)
    (console,) = [route.app for route in app.routes if isinstance(route, Mount)]
    stack = [*console.routes]
    while stack:
        route = stack.pop()
        if isinstance(route, Mount):
            continue
        if not isinstance(route, Route):
            stack.extend(getattr(route, "routes", []) or route.original_router.routes)
            continue
        for method in route.methods - {"HEAD"}:
            yield method, route.path


@pytest.fixture
def pages(tmp_path) -> list[tuple[str, str]]:
    found = sorted(set(routes(tmp_path)))
    assert len(found) > 50, found
    return found


def test_the_list_of_pages_knows_which_are_for_everybody(pages) -> None:
    private = {path for _, path in pages} - PUBLIC
    assert all(path.startswith(("/console", "/admin")) for path in private), private


def filled(path: str, victim: Person) -> str:
    """The path with the ids of what belongs to the victim."""
    log_id = victim.log_ids()[0]
    return (
        path.replace("{key_id}", str(victim.key_id()))
        .replace("{reference}", log_id)
        .replace("{place}", "0")
        .replace("{account_id}", str(victim.account_id))
        .replace("{code_id}", "1")
        .replace("{session_id}", "1")
    )


def test_a_stranger_is_sent_to_the_log_in(site: Site, member, pages) -> None:
    member.new_key()
    member.call()
    visitor = site.visitor()
    token = visitor.csrf("/login")
    for method, path in pages:
        if path in PUBLIC:
            continue
        body = {"csrf": token} if method == "POST" else None
        response = visitor.client.request(method, filled(path, member), data=body)
        assert response.status_code == 303, (method, path)
        assert response.headers["location"].startswith("/login"), (method, path)


def test_what_belongs_to_another_tenant_is_not_found(site: Site, pages) -> None:
    victim, other = site.member(), site.member()
    victim.new_key()
    victim.call()
    before = site.parts.keys.get(victim.key_id())
    owned = [(m, p) for m, p in pages if "{" in p and p not in PUBLIC and "{session_id}" not in p]
    assert len(owned) > 10
    token = other.csrf()
    for method, path in owned:
        body = {"csrf": token, "name": "stolen"} if method == "POST" else None
        response = other.client.request(method, filled(path, victim), data=body)
        assert response.status_code == 404, (method, path)
        assert victim.email not in response.text
    after = site.parts.keys.get(victim.key_id())
    assert (after.name, after.revoked_ms, after.is_enabled) == (before.name, None, True)


def test_one_tenants_lists_do_not_show_another_tenants_rows(site: Site) -> None:
    victim, other = site.member(), site.member()
    victim.new_key("Secret project")
    victim.call()
    log_id = victim.log_ids()[0]
    for path in ("/console", "/console/calls", "/console/calls.csv", "/console/calls.json", "/console/keys",
                 "/console/balance", "/console/statistics", "/console/settings/data.json",
                 f"/console/calls?key={victim.key_id()}", f"/console/calls?id={log_id}"):  # fmt: skip
        mine, theirs = victim.get(path).text, other.get(path).text
        assert "Secret project" in mine or log_id in mine or path.startswith("/console/statistics?"), path
        # The filter's own field repeats what was typed; no row may.
        assert "Secret project" not in theirs, path
        assert f"/calls/{log_id}" not in theirs, path
        assert victim.email not in theirs, path


def test_a_browser_of_somebody_else_cannot_be_logged_out(site: Site) -> None:
    victim, other = site.member(), site.member()
    page = victim.get("/console/settings").text
    assert "This one" in page
    for session_id in range(1, 60):
        other.post(f"/console/settings/browsers/{session_id}/end", {})
        if other.get("/console").status_code == 303:
            break
    assert victim.get("/console").status_code == 200


def test_every_form_needs_its_token(site: Site, member: Person, pages) -> None:
    member.new_key()
    member.call()
    site.parts.accounts.set_admin(member.account_id, True)
    tokens = ("", "0" * 64, site.member().csrf())
    for method, path in pages:
        if method == "POST":
            target = filled(path, member)
            for token in tokens:
                response = member.client.post(target, data={"csrf": token})
                assert response.status_code == 403, (path, token)


def test_the_token_of_a_planted_visit_forges_no_form_of_a_member(site: Site, member: Person) -> None:
    visitor = site.visitor()
    token = visitor.csrf("/login")
    member.client.cookies.set("legible_visit", visitor.client.cookies["legible_visit"])
    for path in ("/console/keys", "/logout", "/login"):
        answer = member.client.post(path, data={"csrf": token, "name": "forged"})
        assert answer.status_code == 403, path
        assert "This form is too old" in answer.text, path
    assert member.post("/console/keys", {"name": "own"}).status_code == 200


def test_cookies_and_headers_are_strict(site: Site) -> None:
    visitor = site.visitor(**{"x-forwarded-proto": "https"})
    page = visitor.get("/login")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"
    for cookie in page.headers.get_list("set-cookie"):
        assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Secure")), cookie
    plain = site.visitor().get("/login").headers["set-cookie"]
    assert "HttpOnly" in plain
    assert "Secure" not in plain


def test_no_page_has_inline_script_or_style(site: Site) -> None:
    admin = site.administrator()
    admin.new_key()
    admin.call()
    paths = ["/", "/login", "/pricing", "/guide/errors", "/console", "/console/try", "/console/keys",
             "/console/statistics", "/console/balance", "/console/settings", "/admin", "/admin/types",
             "/admin/codes", "/admin/ledger", "/admin/models", "/admin/audit"]  # fmt: skip
    for path in paths:
        page = admin.get(path)
        assert page.status_code in (200, 303), path
        assert not re.search(r"<[^>]+\s(on\w+|style)=", page.text), path
        for script in re.findall(r"<script[^>]*>", page.text):
            assert "src=" in script or 'type="application/json"' in script, (path, script)


def test_a_log_in_gets_a_new_cookie_and_a_log_out_ends_it(site: Site, member: Person) -> None:
    planted = site.visitor()
    planted.client.cookies.set("legible_session", "planted")
    answer = planted.post("/login", {"email": member.email, "password": PASSWORD}, at="/login")
    assert answer.status_code == 303
    assert "planted" not in answer.headers["set-cookie"]
    kept = answer.headers["set-cookie"].split("legible_session=")[1].split(";")[0]
    fresh = site.client(cookies={"legible_session": kept})
    assert fresh.get("/console").status_code == 200
    token = re.search(r'name="csrf" value="(\w+)"', fresh.get("/console").text)[1]
    assert fresh.post("/logout", data={"csrf": token}).status_code == 303
    again = site.client(cookies={"legible_session": kept})
    assert again.get("/console").status_code == 303


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb"]
)
def test_a_log_in_never_leads_to_another_site(site: Site, member: Person, target: str) -> None:
    form = {"email": member.email, "password": PASSWORD, "next": target}
    assert site.visitor().post("/login", form, at="/login").headers["location"] == "/console"


def test_a_log_in_leads_back_to_the_page_one_came_from(site: Site, member: Person) -> None:
    asked = site.visitor().get("/console/calls?kind=text").headers["location"]
    assert asked == "/login?next=%2Fconsole%2Fcalls%3Fkind%3Dtext"
    form = {"email": member.email, "password": PASSWORD, "next": "/console/calls?kind=text"}
    answer = site.visitor().post("/login", form, at="/login")
    assert answer.headers["location"] == "/console/calls?kind=text"


def test_guessing_passwords_is_stopped(sqlite_template, tmp_path, real_limits) -> None:
    with running(_copy(sqlite_template, tmp_path)) as site:
        member = site.member()
        limit = LOG_IN_BY_EMAIL.amount
        visitor = site.visitor()
        statuses = [
            visitor.post("/login", {"email": member.email, "password": "wrong"}, at="/login").status_code
            for _ in range(limit + 1)
        ]
        assert statuses == [400] * limit + [429]
        # Even the right one has to wait then.
        form = {"email": member.email, "password": PASSWORD}
        assert visitor.post("/login", form, at="/login").status_code == 429
        # Not from elsewhere: else whoever knows an e-mail could lock its owner out.
        elsewhere = site.visitor(**{"x-forwarded-for": "203.0.113.9"})
        assert elsewhere.post("/login", form, at="/login").status_code == 303


def _copy(template, folder) -> str:
    return shutil.copy(template, folder / "legible.db")


def test_whoever_owns_a_network_of_ipv6_is_counted_once(real_limits: None) -> None:
    attempts = Attempts()
    tried = [attempts.allow(SIGN_UP_BY_ADDRESS, f"2001:db8::{n}") for n in range(11)]
    assert tried == [True] * 10 + [False]
    assert attempts.allow(SIGN_UP_BY_ADDRESS, "2001:db8:0:1::1")
    assert attempts.allow(SIGN_UP_BY_ADDRESS, "192.0.2.1")


def test_names_that_have_nothing_counted_are_forgotten(
    real_limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("legible.console.attempts.MOST_NAMES", 50)
    attempts = Attempts()
    for n in range(60):
        attempts.allow(parse("1/second"), f"{n}@example.com")
    time.sleep(1.2)
    for n in range(3):  # what is old is found at a count, and forgotten at the next
        attempts.allow(parse("1/hour"), f"new {n}")
        time.sleep(0.1)
    assert len(attempts._storage.events) < 10
    assert not attempts.allow(parse("1/hour"), "new 0")


def test_a_new_password_ends_all_log_ins(site: Site, member: Person) -> None:
    assert member.get("/console").status_code == 200
    site.parts.accounts.set_password(member.account_id, "another long one")
    assert member.get("/console").status_code == 303


def test_nobody_can_take_the_address_of_a_deleted_account(site: Site) -> None:
    form = {"email": "deleted-999@invalid", "password": PASSWORD}
    assert site.visitor().post("/signup", form, at="/signup").status_code == 400


@pytest.mark.parametrize("target", ["http://%5B", "//%5B", "/%00"])
def test_a_target_that_is_no_address_leads_home(member: Person, target: str) -> None:
    answer = member.get(f"/theme/dark?next={target}")
    assert (answer.status_code, "[" in answer.headers["location"]) == (303, False)


def test_characters_that_a_database_cannot_hold_break_no_page(site: Site, member: Person) -> None:
    for path in ("/console/calls?id=%00", "/console/calls?outcome=%00", "/console/calls?dialect=%00"):
        assert member.get(path).status_code == 200
    assert site.administrator().get("/admin?search=%00").status_code == 200
    form = {"email": "a\0@example.com", "password": PASSWORD}
    assert site.visitor().post("/login", form, at="/login").status_code == 400


def test_sign_up_can_be_closed(sqlite_template, tmp_path) -> None:
    with running(_copy(sqlite_template, tmp_path), sign_up=False) as site:
        visitor = site.visitor()
        assert "Sign-up is closed here" in visitor.get("/signup").text
        for page in ("/", "/guide/quick-start"):
            assert 'href="/signup"' not in visitor.get(page).text
        answer = visitor.post("/signup", {"email": "a@example.com", "password": PASSWORD}, at="/login")
        assert answer.status_code == 404


def test_where_nothing_is_free_nothing_is_promised(sqlite_template, tmp_path) -> None:
    with running(_copy(sqlite_template, tmp_path), free_quota_micros=0) as site:
        for language, words in (("en", "ask your administrator for a balance"), ("zh-CN", "新账户没有余额")):
            visitor = site.visitor(**{"accept-language": language})
            assert words in visitor.get("/guide/quick-start").text
            for page in ("/", "/signup", "/guide/quick-start"):
                assert re.search(r"¥0(\.00)?(?![.\d])", visitor.get(page).text) is None, page
        person = site.visitor()
        form = {"email": "new@example.com", "password": PASSWORD}
        answer = person.post("/signup", form, at="/signup")
        welcome = person.get(answer.headers["location"]).text
        assert "Redeem a code, or ask your administrator for a top-up" in welcome
        assert "free quota" not in welcome


def test_a_frozen_account_is_out_at_once(site: Site, member: Person) -> None:
    site.parts.accounts.set_enabled(member.account_id, False)
    assert member.get("/console").status_code == 303
    answer = site.visitor().post("/login", {"email": member.email, "password": PASSWORD}, at="/login")
    assert "frozen" in answer.text


def test_what_was_read_is_escaped_on_every_page_and_in_csv(site: Site, member: Person) -> None:
    member.new_key("<i>name</i>")
    assert member.call().json()["text"] == HOSTILE
    log_id = member.log_ids()[0]
    for path in ("/console", "/console/calls", f"/console/calls/{log_id}", "/console/keys"):
        page = member.get(path).text
        assert "<b>x" not in page, path
        assert "<i>name" not in page, path
    csv = member.get("/console/calls.csv").text
    assert f"'{HOSTILE}" in csv


def test_a_picture_that_cannot_be_read_explains_itself_in_the_log(site: Site, member: Person) -> None:
    member.new_key()
    reply = member.call(size=UNREADABLE_SIZE)
    assert reply.status_code == 400
    page = member.get(f"/console/calls/{reply.json()['trace_id']}").text
    for sentence in ("Not readable", "lower the threshold", "None: it cost nothing."):
        assert sentence in page


@pytest.mark.parametrize("number", ["9" * 20, "-" + "9" * 20, "9" * 5000])
def test_a_number_that_no_row_can_have_is_not_found(site: Site, pages, number: str) -> None:
    admin = site.administrator()
    admin.new_key()
    admin.call()
    token, log_id = admin.csrf(), admin.log_ids()[0]
    paths = [(method, path) for method, path in pages if "_id}" in path or "{place}" in path]
    assert len(paths) > 10
    for method, path in paths:
        target = re.sub(r"{\w+}", number, path.replace("{reference}", log_id))
        body = {"csrf": token} if method == "POST" else None
        assert admin.client.request(method, target, data=body).status_code == 404, (method, path)
    for path in ("/console/balance", "/admin", "/admin/codes", "/admin/audit"):
        assert admin.get(f"{path}?before={number}").status_code == 404, path


def test_a_page_that_is_not_there_carries_the_trace_id(site: Site) -> None:
    page = site.visitor().get("/nothing/here")
    assert page.status_code == 404
    assert page.headers["x-trace-id"] in page.text
    program = httpx.get(f"{site.url}/nothing/here", trust_env=False)
    assert program.headers["content-type"].startswith("application/problem+json")


def test_a_bug_becomes_a_page_with_the_trace_id_and_no_traceback(
    site: Site, member: Person, monkeypatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(site.parts.keys, "list", broken)
    page = member.get("/console/keys")
    assert page.status_code == 500
    assert page.headers["x-trace-id"] in page.text
    assert "secret detail" not in page.text


def test_a_form_over_its_size_is_refused(member: Person) -> None:
    assert member.post("/console/keys", {"name": "x" * 70_000}).status_code == 413
    assert member.post("/console/keys", {"name": "x" * 5_000}).status_code == 413
