"""What members and administrators do in the console, and what it does to keys, money and images."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import update

from legible import ledger
from legible.calls import CallLog
from legible.clock import now_ms
from legible.console import measured
from legible.db.tables import Call
from legible.errors import Unavailable
from legible.kept_images import DAY_MS, KeptImages
from legible.keys import KeyRules
from legible.tasks import Answer, Kind, Task
from tests.console.conftest import PASSWORD, Person, Site
from tests.console.fakes import UNREADABLE_SIZE
from tests.service import base64_of, draw

NOWHERE = {"number": "1", "note": ""}


def codes(page: httpx.Response) -> list[str]:
    return re.findall(r"(?:[2-9A-Z]{5}-){3}[2-9A-Z]{5}", page.text)


def balance(person: Person) -> int:
    account = person.site.parts.accounts.get(person.account_id)
    assert ledger.check(person.site.parts.database).problems == ()
    return account.balance_micros


def test_a_new_account_has_the_free_quota_and_says_so(member: Person) -> None:
    page = member.get("/console?done=welcome").text
    assert "¥1.00" in page
    assert "Your free quota is on your balance" in page
    assert "free quota" in member.get("/console/balance").text


def test_an_unknown_notice_is_not_shown(member: Person) -> None:
    assert "<script>" not in member.get("/console?done=<script>alert(1)</script>").text


def test_a_second_account_for_an_address_is_refused_beside_its_field(site: Site, member: Person) -> None:
    form = {"email": member.email.upper(), "password": PASSWORD}
    page = site.visitor().post("/signup", form, at="/signup")
    assert page.status_code == 400
    assert "has an account already" in page.text


def test_a_key_is_shown_once_and_kept_as_a_hash(member: Person) -> None:
    key = member.new_key("Staging")
    page = member.get("/console/keys").text
    assert "Staging" in page
    assert key not in page
    assert key[:7] in page
    assert key[-4:] in page
    assert member.call(key).status_code == 200


def test_a_keys_limits_hold(member: Person) -> None:
    form = {"spend_cap": "0.001", "which_kinds": "some", "kinds": "text", "expires": "2099-12-31",
            "addresses": "127.0.0.1\n10.0.0.0/8"}  # fmt: skip
    member.new_key("Limited", **form)
    assert member.call().status_code == 200
    assert member.call().json()["error"]["code"] == "used_up"
    page = member.get(f"/console/keys/{member.key_id()}").text
    assert 'value="2099-12-31"' in page
    assert "10.0.0.0/8" in page
    assert "¥0.001" in page


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", " ", "Give the key a name"),
        ("expires", "2020-01-01", "must be in the future"),
        ("spend_cap", "ten", "Write an amount"),
        ("rate", "-1", "at most the account"),
        ("addresses", "somewhere", "Write IP addresses"),
        ("which_kinds", "some", "Choose at least one kind"),
    ],
)
def test_a_wrong_field_of_a_key_is_named_and_the_rest_is_kept(member, field, value, sentence) -> None:
    form = {"name": "Kept name", field: value}
    page = member.post("/console/keys", form)
    assert page.status_code == 400
    assert sentence in page.text
    assert field == "name" or "Kept name" in page.text
    assert member.site.parts.keys.list(member.account_id) == []


def test_a_key_cannot_be_faster_than_its_account(site: Site, member: Person) -> None:
    site.parts.accounts.set_rate(member.account_id, 5)
    assert member.post("/console/keys", {"name": "Fast", "rate": "6"}).status_code == 400
    assert member.post("/console/keys", {"name": "Endless", "rate": "0"}).status_code == 400
    assert member.post("/console/keys", {"name": "Good", "rate": "5"}).status_code == 200
    admin = site.administrator()
    admin.post(f"/admin/users/{member.account_id}/rate", {"rate": "3"})
    assert site.parts.keys.list(member.account_id)[0].rate_per_second is None


def test_a_rate_that_the_command_line_gave_stays_when_something_else_is_changed(
    site: Site, member: Person
) -> None:
    site.parts.accounts.set_rate(member.account_id, 5)
    keys = site.parts.keys
    fast = keys.create(member.account_id, "Fast", KeyRules(rate_per_second=50))
    path, form = f"/console/keys/{fast.id}", {"name": "Renamed", "which_kinds": "all"}
    assert member.post(path, form | {"rate": "50"}).status_code == 303
    assert (keys.get(fast.id).name, keys.get(fast.id).rate_per_second) == ("Renamed", 50)
    assert member.post(path, form | {"rate": "51"}).status_code == 400
    assert keys.get(fast.id).rate_per_second == 50


def test_a_disabled_key_is_refused_and_works_again_when_enabled(member: Person) -> None:
    member.new_key()
    path = f"/console/keys/{member.key_id()}/enabled"
    member.post(path, {"enabled": "0"})
    assert member.call().status_code == 401
    member.post(path, {"enabled": "1"})
    assert member.call().status_code == 200


def test_a_rotated_key_goes_on_beside_the_new_one_and_a_deleted_one_does_not(member: Person) -> None:
    old = member.new_key("CI")
    page = member.post(f"/console/keys/{member.key_id()}/rotate", {"overlap": "24"})
    new = re.search(r"lg_[\w-]{43}", page.text)[0]
    assert [member.call(key).status_code for key in (old, new)] == [200, 200]
    member.post(f"/console/keys/{member.key_id()}/delete", {})
    assert [member.call(key).status_code for key in (old, new)] == [200, 401]


def test_a_rotated_key_does_not_bring_a_new_spend_cap(member: Person) -> None:
    member.new_key("Capped", spend_cap="0.01")
    member.call()
    old = member.site.parts.keys.list(member.account_id)[0]
    assert 0 < old.spent_micros < 10_000
    member.post(f"/console/keys/{old.id}/rotate", {"overlap": "1"})
    new, old = member.site.parts.keys.list(member.account_id)
    assert new.spend_cap_micros + old.spend_cap_micros == 10_000
    assert old.expires_ms < now_ms() + 3_600_001


def test_a_key_can_ask_for_more_confidence(member: Person) -> None:
    key = member.new_key("Careful", threshold="1")
    refused = member.call(key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "recognition_failed")
    path = f"/console/keys/{member.key_id()}"
    assert 'name="threshold" inputmode="decimal" value="1"' in member.get(path).text
    for wrong in ("2", "-0.1", "nan", "0,9", "1e-1"):
        page = member.post(path, {"name": "Careful", "threshold": wrong})
        assert (page.status_code, "a number from 0 to 1, like 0.9" in page.text) == (400, True), wrong
    member.post(path, {"name": "Careful", "threshold": ".25"})
    assert member.site.parts.keys.list(member.account_id)[0].threshold == 0.25
    assert member.call(key).status_code == 200


def test_a_form_that_broke_on_its_way_is_no_fault_of_ours(member: Person) -> None:
    headers = {"content-type": "multipart/form-data", "accept": "text/html"}
    broken = member.client.post("/console/settings/images", content=b"--x\r\nno", headers=headers)
    assert broken.status_code == 400
    assert "That form did not arrive whole" in broken.text


def test_what_is_shown_once_is_not_lost_by_a_click_in_the_header(member: Person) -> None:
    page = member.post("/console/keys", {"name": "CI", "which_kinds": "all"})
    assert "data-made-key" in page.text
    assert "/language/" not in page.text
    assert "/language/" in member.get("/console/keys").text


def test_saving_a_key_changes_nothing_that_was_left_as_it_was(member: Person) -> None:
    member.new_key("Exact", spend_cap="1234567.891", expires="2099-12-31")
    keys, key_id = member.site.parts.keys, member.key_id()
    for expires_ms in (now_ms() + 3_600_000, now_ms() - 60_000, 4_102_444_800_123):
        rules = KeyRules(expires_ms=expires_ms, spend_cap_micros=1_234_567_891_000)
        keys.update(key_id, "Exact", rules, member.account_id)
        page = member.get(f"/console/keys/{key_id}").text
        form = {
            name: re.search(rf'name="{name}"[^>]* value="([^"]*)"', page)[1]
            for name in ("expires", "spend_cap")
        }
        least = re.search(r'min="([^"]*)"', page)[1]
        assert least <= form["expires"]
        sent = form | {"name": "Renamed", "rate": "", "addresses": "", "which_kinds": "all"}
        assert member.post(f"/console/keys/{key_id}", sent).status_code == 303
        kept = keys.get(key_id, member.account_id)
        assert (kept.name, kept.expires_ms, kept.spend_cap_micros) == (
            "Renamed",
            expires_ms,
            1_234_567_891_000,
        )


def test_an_expired_key_is_not_rotated_into_another_expired_one(member: Person) -> None:
    member.new_key("Old")
    key_id = member.key_id()
    rules = KeyRules(expires_ms=now_ms() - 1000)
    member.site.parts.keys.update(key_id, "Old", rules, member.account_id)
    assert "/rotate" not in member.get(f"/console/keys/{key_id}").text
    assert member.post(f"/console/keys/{key_id}/rotate", {"overlap": "24"}).status_code == 404


@pytest.mark.parametrize(
    ("path", "form", "page"),
    [
        ("/console/balance/redeem", {"code": "WRONG"}, "/console/balance"),
        ("/console/balance/threshold", {"threshold": "much"}, "/console/balance"),
        ("/console/settings/password", {"password": "wrong", "new_password": "x"}, "/console/settings"),
        ("/console/keys", {"name": ""}, "/console/keys"),
    ],
)
def test_after_a_wrong_form_the_language_can_be_changed(
    member: Person, path: str, form: dict[str, object], page: str
) -> None:
    answer = member.post(path, form)
    assert answer.status_code == 400
    assert f'next={page}"' in answer.text.replace("%2F", "/")
    assert "autofocus" in answer.text
    assert all(str(value) in answer.text for name, value in form.items() if name in ("code", "threshold"))


def test_a_type_is_changed_in_its_own_place_and_a_new_one_needs_a_free_id(site: Site) -> None:
    admin = site.administrator()
    row = {"id": "50200", "kind": "text", "name_en": "Words", "name_zh": "字", "price": "much"}
    page = admin.post("/admin/types", row | {"row": "50200"})
    assert page.status_code == 400
    own = page.text.partition('id="type-50200-kind"')[2].partition("</form>")[0]
    assert 'value="much"' in own
    assert "checked" not in own
    assert page.text.count('value="much"') == 1
    taken = admin.post("/admin/types", row | {"price": "1"})
    assert "There is a type with this id already" in taken.text
    assert site.parts.prices.rows()[0].name_en != "Words"


def test_a_trial_key_ends_by_itself_and_can_spend_little(member: Person) -> None:
    token = member.csrf()
    answer = member.client.post("/console/keys/trial", headers={"x-csrf-token": token}, data={})
    assert member.call(answer.json()["key"]).status_code == 200
    key = member.site.parts.keys.list(member.account_id)[0]
    assert key.expires_ms is not None
    assert key.spend_cap_micros == 500_000


def test_a_code_is_worth_its_amount_once_however_many_try(site: Site) -> None:
    admin, people = site.administrator(), [site.member() for _ in range(4)]
    (code,) = codes(admin.post("/admin/codes", NOWHERE | {"amount": "12.5"}))
    before = [balance(person) for person in people]
    tokens = [person.csrf() for person in people]

    def redeem(index: int) -> int:
        form = {"code": code.lower().replace("-", " "), "csrf": tokens[index % 4]}
        return people[index % 4].client.post("/console/balance/redeem", data=form).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(redeem, range(16)))
    assert statuses == [303] + [400] * 15
    gained = [balance(person) - had for person, had in zip(people, before, strict=True)]
    assert sorted(gained) == [0, 0, 0, 12_500_000]
    assert code[-4:] in admin.get("/admin/codes").text
    assert code not in admin.get("/admin/codes").text


def test_a_cancelled_code_is_worth_nothing(site: Site, member: Person) -> None:
    admin = site.administrator()
    (code,) = codes(admin.post("/admin/codes", NOWHERE | {"amount": "3", "days": "30"}))
    code_id = re.search(r"/admin/codes/(\d+)/cancel", admin.get("/admin/codes").text)[1]
    assert admin.post(f"/admin/codes/{code_id}/cancel", {}).status_code == 303
    page = member.post("/console/balance/redeem", {"code": code})
    assert page.status_code == 400
    assert "cancelled" in page.text


def test_an_administrator_tops_up_with_a_reason_that_the_user_sees(site: Site, member: Person) -> None:
    admin = site.administrator()
    path = f"/admin/users/{member.account_id}/top-up"
    assert admin.post(path, {"amount": "1,234.5", "reason": "Invoice 7"}).status_code == 303
    assert admin.post(path, {"amount": "-0.5", "reason": "Typed wrong"}).status_code == 303
    assert balance(member) == 1_235_000_000
    page = member.get("/console/balance").text
    for shown in ("Invoice 7", "Typed wrong", "¥1,235.00", "−¥0.50"):
        assert shown in page
    log = admin.get("/admin/audit").text
    assert "Invoice 7" in log
    assert member.email in log


@pytest.mark.parametrize("amount", ["x", "-99", "0", "NaN", "Infinity", "0.0000001", "1e30"])
def test_a_wrong_top_up_changes_nothing(site: Site, member: Person, amount) -> None:
    path, admin = f"/admin/users/{member.account_id}/top-up", site.administrator()
    assert admin.post(path, {"amount": amount, "reason": "why"}).status_code == 400
    assert admin.post(path, {"amount": "5", "reason": " "}).status_code == 400
    assert balance(member) == 1_000_000


def test_a_changed_price_holds_for_the_next_call(site: Site, member: Person) -> None:
    member.new_key()
    admin = site.administrator()
    row = {"id": "50200", "kind": "text", "name_en": "general letters and digits", "name_zh": "通用数英"}
    row["row"] = row["id"]
    assert admin.post("/admin/types", row | {"price": "0.002", "enabled": "1"}).status_code == 303
    member.call()
    assert balance(member) == 998_000
    assert "¥0.002" in member.get("/pricing").text
    admin.post("/admin/types", row | {"price": "0.001", "enabled": "1"})


def test_the_ledger_check_finds_nothing_wrong_and_is_noted(site: Site, member: Person) -> None:
    member.new_key()
    member.call()
    admin = site.administrator()
    sums = admin.post("/admin/ledger/sums", {"after": "0"}).json()
    assert sums["wrong"] == []
    assert sums["checked"] >= 2
    whole = admin.post("/admin/ledger/calls", {"all": "1"}).json()
    assert whole["problems"] == []
    assert whole["entries"] > whole["calls"] > 0
    assert "Checked the ledger" in admin.get("/admin/audit").text


def test_images_are_kept_only_for_those_who_asked_and_only_for_a_time(site: Site, member: Person) -> None:
    member.new_key()
    member.call()
    member.post("/console/settings/images", {"keep": "1"})
    member.site.parts.keys._cache.clear()  # as after its half second
    member.call()
    member.call(size=UNREADABLE_SIZE)
    unreadable, kept, forgotten = member.log_ids()
    for log_id in (unreadable, kept):
        image = member.get(f"/console/calls/{log_id}/images/0")
        assert image.headers["content-type"] == "image/png"
    assert member.get(f"/console/calls/{forgotten}/images/0").status_code == 404
    assert f"call={kept}" in member.get(f"/console/calls/{kept}").text
    assert KeptImages(site.parts.database, days=-1).purge() == 2
    assert member.get(f"/console/calls/{kept}/images/0").status_code == 404
    assert DAY_MS == 86_400_000


def test_switching_keeping_off_deletes_what_was_kept(member: Person) -> None:
    member.post("/console/settings/images", {"keep": "1"})
    member.new_key()
    member.call()
    assert "1 image is kept now" in member.get("/console/settings").text
    member.post("/console/settings/images", {"keep": "0"})
    assert "0 images are kept now" in member.get("/console/settings").text


def test_a_report_of_a_wrong_answer_stays_with_its_call(member: Person) -> None:
    member.new_key()
    member.call()
    path = f"/console/calls/{member.log_ids()[0]}"
    member.post(f"{path}/wrong", {"expected": "<7364>"})
    member.post(f"{path}/wrong", {"expected": "7364"})
    page = member.get(path).text
    assert "You reported it as wrong" in page
    assert "7364</code>" in page
    assert "<7364>" not in page
    # A program that says so afterwards, without the right answer, takes nothing away.
    call = member.get(f"{path}.json").json()
    log = CallLog(member.site.parts.database)
    log.report_wrong(log.find(member.account_id, call["log_id"]).id)
    assert "7364</code>" in member.get(path).text


def test_a_report_can_be_withdrawn(member: Person) -> None:
    member.new_key()
    member.call()
    path = f"/console/calls/{member.log_ids()[0]}"
    assert "Withdraw the report" not in member.get(path).text
    member.post(f"{path}/wrong", {"expected": "7364"})
    done = member.post(f"{path}/wrong", {"expected": "7364", "withdraw": "1"})
    assert "The report is withdrawn." in member.get(done.headers["location"]).text
    assert "You reported it as wrong" not in member.get(path).text


def test_a_repeated_call_is_good_and_leads_to_the_first(member: Person) -> None:
    key = member.new_key()
    headers = {"authorization": f"Bearer {key}", "idempotency-key": "once"}
    body = {"image": base64_of(draw(size=(120, 40)))}
    url = f"{member.site.url}/captcha/recognition/image2text"
    for _ in range(2):
        httpx.post(url, json=body, headers=headers, trust_env=False)
    second, first = member.log_ids()
    page = member.get(f"/console/calls/{second}").text
    assert '<span class="badge good">Replayed</span>' in page
    assert f'href="/console/calls/{first}"' in page


def test_a_call_is_found_by_the_id_of_its_task(member: Person) -> None:
    key = member.new_key()
    task = {"type": "ImageToTextTask", "body": base64_of(draw(size=(120, 40)))}
    asked = {"clientKey": key, "task": task}
    url = f"{member.site.url}/createTask"
    task_id = httpx.post(url, json=asked, trust_env=False).json()["taskId"]
    member.call()
    rows = member.get(f"/console/calls.json?id={task_id}").json()
    assert [row["dialect"] for row in rows] == ["createtask"]
    assert member.site.member().get(f"/console/calls.json?id={task_id}").json() == []


def test_a_wrong_code_leaves_the_ledger_that_can_be_read_on(member: Person) -> None:
    member.new_key()
    for _ in range(51):
        member.call()
    page = member.post("/console/balance/redeem", {"code": "X"})
    older = re.search(r'href="([^"]+)" rel="next"', page.text)[1].replace("&amp;", "&")
    assert "grant" in member.get(older).text.lower()


def test_who_chose_no_time_zone_has_the_browsers(site: Site, member: Person) -> None:
    site.parts.accounts.create("made@example.com", PASSWORD)
    made = site.visitor()
    form = {"email": "made@example.com", "password": PASSWORD, "time_zone": "Asia/Shanghai"}
    for zone in ("Asia/Shanghai", "Europe/Paris"):
        made.post("/login", form | {"time_zone": zone}, at="/login")
        assert "<option selected>Asia/Shanghai</option>" in made.get("/console/settings").text
        made.post("/logout", {})


def test_an_administrator_makes_an_account(site: Site) -> None:
    admin, email = site.administrator(), "new@example.com"  # kept in small letters, in the audit log too
    assert admin.post("/admin/users", {"email": email, "password": "short"}).status_code == 400
    page = admin.post("/admin/users", {"email": "no address", "password": PASSWORD})
    assert page.status_code == 400
    assert 'value="no address"' in page.text
    made = admin.post("/admin/users", {"email": email.title(), "password": PASSWORD})
    assert "The account is made." in admin.get(made.headers["location"]).text
    assert email in admin.get("/admin/audit").text
    entered = site.visitor().post("/login", {"email": email, "password": PASSWORD}, at="/login")
    assert entered.headers["location"] == "/console"
    refused = site.member().post("/admin/users", {"email": "x@example.com", "password": PASSWORD})
    assert refused.status_code == 404


def test_who_is_logged_out_comes_back_to_the_administration(site: Site) -> None:
    assert site.visitor().get("/admin/types").headers["location"] == "/login?next=%2Fadmin%2Ftypes"
    assert site.member().get("/admin/types").status_code == 404


def test_a_form_that_is_sent_after_the_session_ended_leads_back_to_its_page(
    site: Site, member: Person
) -> None:
    token = member.csrf("/console/keys")
    other = dict(member.client.cookies)
    member.post("/logout", {})
    member.client.cookies.update(other)
    sent = member.client.post("/console/keys", data={"csrf": token, "name": "Lost"}, follow_redirects=False)
    assert sent.headers["location"] == "/login?next=%2Fconsole%2Fkeys&ended=1"
    assert "You were logged out before that was sent" in member.get(sent.headers["location"]).text


def test_the_call_log_filters_pages_and_exports(member: Person) -> None:
    member.new_key("First")
    for _ in range(52):
        member.call()
    member.call(size=UNREADABLE_SIZE)
    page = member.get("/console/calls")
    older = re.search(r'href="([^"]+)" rel="next"', page.text)[1].replace("&amp;", "&")
    ids = {*member.log_ids(), *re.findall(r'calls/(LOG\d+)"', member.get(older).text)}
    assert len(ids) == 53
    for outcome in ("refused", "recognition_failed"):
        refused = member.get(f"/console/calls?outcome={outcome}").text
        assert len(re.findall(r'calls/(LOG\d+)"', refused)) == 1
    assert "No call matches" in member.get("/console/calls?kind=slider").text
    assert "No call matches" in member.get("/console/calls?from=2099-01-01").text
    assert "No call matches" in member.get("/console/calls?slower=600000").text
    rows = json.loads(member.get("/console/calls.json").text)
    assert len(rows) == 53
    assert member.get("/console/calls.json").headers["x-total-rows"] == "53"
    assert len(member.get("/console/calls.csv?outcome=answered").text.splitlines()) == 53
    assert member.get("/console/calls.csv").text.startswith("\ufefflog_id,")  # for Excel
    log_id = member.log_ids()[0]
    assert len(re.findall(r'calls/(LOG\d+)"', member.get(f"/console/calls?id={log_id.lower()}").text)) == 1
    assert json.loads(member.get("/console/calls.json?kind=grid").text) == []
    assert member.get("/console/calls?cursor=nonsense").status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("slower=abc", "At least (ms)"),
        ("slower=-1", "At least (ms)"),
        ("from=2026-13-45", "From"),
        ("kind=xyz", "Kind"),
        ("key=x", "Key"),
    ],
)
def test_a_filter_that_cannot_be_understood_is_told_and_gives_no_file(
    member: Person, query: str, field: str
) -> None:
    page = member.get(f"/console/calls?{query}").text
    assert f"This cannot be understood, and was left out: {field}</div>" in page
    assert 'href="/console/calls">Clear</a>' in page
    for end in ("csv", "json"):
        assert member.get(f"/console/calls.{end}?{query}").status_code == 400
    assert "cannot be understood" not in member.get("/console/calls?slower=1,000&from=&kind=text").text


def test_an_answer_of_nothing_is_shown_as_none(site: Site, member: Person) -> None:
    member.new_key("First")
    member.call()
    with site.parts.database.write() as session:
        session.execute(update(Call).values(result=""))
    (log_id,) = member.log_ids()
    assert ">none</span>" in member.get("/console/calls").text
    assert '<p class="answer" translate="no">none</p>' in member.get(f"/console/calls/{log_id}").text


def test_a_page_is_found_with_a_slash_after_it(member: Person) -> None:
    moved = member.get("/console/calls/?kind=text", follow_redirects=False)
    assert (moved.status_code, moved.headers["location"]) == (307, "/console/calls?kind=text")
    origin = str(member.client.base_url).rstrip("/")
    for elsewhere in ("//evil.example/", "/%2Fevil.example/"):
        lost = member.client.get(httpx.URL(origin, raw_path=elsewhere.encode()), follow_redirects=False)
        assert (lost.status_code, lost.headers.get("location")) == (404, None), elsewhere
    for strange in ("/%5Cevil.example/", "/%09/evil.example/"):
        moved = member.client.get(httpx.URL(origin, raw_path=strange.encode()), follow_redirects=False)
        assert moved.headers["location"] == strange.rstrip("/")


def test_the_downloaded_data_is_all_and_has_no_secret(member: Person) -> None:
    key = member.new_key()
    member.call()
    text = member.get("/console/settings/data.json").text
    data = json.loads(text)
    assert data["account"]["email"] == member.email
    parts = ("keys", "browsers", "wrong_answers", "calls", "entries")
    assert [len(data[part]) for part in parts] == [1, 1, 0, 1, 2]
    assert sum(entry["amount_micros"] for entry in data["entries"]) == data["account"]["balance_micros"]
    assert key not in text
    assert "sha256" not in text
    assert "password" not in text


def test_a_deleted_account_leaves_amounts_without_a_name(site: Site, member: Person) -> None:
    member.new_key()
    member.call()
    account_id = member.account_id
    admin = site.administrator()
    admin.post(f"/admin/users/{account_id}/rate", {"rate": "5"})
    assert member.email in admin.get("/admin/audit").text
    assert member.post("/console/settings/delete", {"password": "wrong"}).status_code == 400
    assert member.post("/console/settings/delete", {"password": PASSWORD}).status_code == 303
    assert member.get("/console").status_code == 303
    assert member.call().status_code == 401
    account = site.parts.accounts.get(account_id)
    assert account.email == f"deleting-{account_id}@invalid"
    audit = admin.get("/admin/audit").text
    assert f"deleted-{account_id}@invalid" in audit
    assert f">{member.email}<" not in audit
    assert (account.password_hash, account.is_enabled, account.balance_micros) == (None, False, 0)
    assert "<form" not in admin.get(f"/admin/users/{account_id}").text.partition("<main")[2]
    refused = admin.post(f"/admin/users/{account_id}/top-up", {"amount": "1", "reason": "too late"})
    assert refused.status_code == 404
    assert ledger.check(site.parts.database).problems == ()
    again = {"email": member.email, "password": PASSWORD}
    assert site.visitor().post("/signup", again, at="/signup").status_code == 303


def test_a_new_password_logs_the_other_browsers_out(site: Site, member: Person) -> None:
    other = site.visitor()
    other.post("/login", {"email": member.email, "password": PASSWORD}, at="/login")
    form = {"password": PASSWORD, "new_password": "another good one"}
    assert member.post("/console/settings/password", form).status_code == 303
    assert other.get("/console").status_code == 303
    assert member.get("/console").status_code == 200


def test_times_are_shown_in_the_users_zone_with_utc_on_hover(member: Person) -> None:
    member.post("/console/settings/preferences", {"language": "en", "time_zone": "Asia/Shanghai"})
    page = member.get("/console/balance").text
    tag = re.search(r'<time datetime="([^"]+)" title="([^"]+) UTC">([^<]+)<', page)
    local = datetime.fromisoformat(tag[1]) + timedelta(hours=8)
    assert f"{local:%M:%S}" in tag[3]
    assert tag[2] in f"{datetime.fromisoformat(tag[1]):%Y-%m-%d %H:%M:%S}"
    assert f"{local.day}" in tag[3]


def test_a_low_balance_and_an_expiring_key_are_warned_of(member: Person) -> None:
    soon = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    member.new_key("Old one", expires=soon)
    member.post("/console/balance/threshold", {"threshold": "5"})
    page = member.get("/console").text
    assert "Your balance is ¥1.00" in page
    assert "“Old one” expires soon" in page


def test_statistics_add_up(member: Person) -> None:
    member.new_key()
    for size in ((120, 40), (120, 40), (120, 40), UNREADABLE_SIZE):
        member.call(size=size)
    page = member.get("/console/statistics").text
    assert "75.0%" in page
    assert "¥0.003" in page
    assert "Not readable" in page


def test_the_landing_page_reads_its_own_samples_and_nothing_else(site: Site) -> None:
    visitor = site.visitor()
    file = re.search(r'data-file="([^"]+)"', visitor.get("/").text)[1]
    assert visitor.get(f"/demo/{file}.json").json()["answer"]["text"]
    assert visitor.get("/demo/..%2f..%2fapp.css.json").status_code == 404
    assert visitor.get("/demo/secret.png.json").status_code == 404


def test_an_example_that_is_refused_says_why_in_the_visitors_language(site: Site, monkeypatch) -> None:
    async def full(task: Task) -> Answer:
        raise Unavailable("the queue is full")

    file = re.search(r'data-file="([^"]+)"', site.visitor().get("/").text)[1]
    monkeypatch.setattr(site.parts.engine, "recognize", full)
    for language, sentence in (("en", "its queue is full"), ("zh-CN", "队列已满")):
        answer = site.visitor(**{"accept-language": language}).get(f"/demo/{file}.json").json()
        assert answer["refused"] == "unavailable"
        assert sentence in answer["cause"]


def test_try_it_is_told_why_a_call_was_refused_in_the_visitors_language(site: Site) -> None:
    for language, sentence in (("en", "limited to"), ("zh-CN", "密钥")):
        member = site.member(**{"accept-language": language})
        key = member.new_key(which_kinds="some", kinds="slider")
        trace_id = member.call(key).json()["trace_id"]
        row = member.get(f"/console/calls/{trace_id}.json").json()
        assert row["outcome"] == "not_allowed"
        assert sentence in row["cause"] + row["fix"], row


def test_the_audit_log_says_details_in_the_visitors_language(site: Site, member: Person) -> None:
    for language, words in (("en", ("Amount", "Reason")), ("zh-CN", ("金额", "原因"))):
        admin = site.member(**{"accept-language": language})
        site.parts.accounts.set_admin(admin.account_id, True)
        top_up = {"amount": "5", "reason": "a gift"}
        assert admin.post(f"/admin/users/{member.account_id}/top-up", top_up).status_code == 303
        row = re.search(
            rf"<tr>(?:(?!</tr>).)*{member.email}.*?</tr>", admin.get("/admin/audit").text, re.DOTALL
        )[0]
        assert [word for word in (*words, "a gift", "¥5.00") if word not in row] == []
        for rate in ("", "0"):
            assert admin.post(f"/admin/users/{member.account_id}/rate", {"rate": rate}).status_code == 303
        shown = {
            "en": ("Kind: Text", "Can be called: yes", "second: the default", "second: no limit"),
            "zh-CN": ("种类: 文字", "可以调用: 是", "调用数: 默认值", "调用数: 不限"),
        }[language]
        priced = {
            "id": "50200",
            "row": "50200",
            "kind": "text",
            "name_en": "T",
            "name_zh": "T",
            "enabled": "1",
        }
        assert admin.post("/admin/types", priced | {"price": "0.01"}).status_code == 303
        log = re.sub(r"<[^>]+>", "", admin.get("/admin/audit").text)
        assert [words for words in shown if words not in log] == []


def test_every_kind_has_a_measured_number_that_says_how_it_was_measured() -> None:
    assert {row.kind for row in measured.rows()} == {*Kind, "service"}
    for row in measured.rows():
        assert all((row.name_en, row.name_zh, row.value, row.on_en, row.on_zh, row.command, row.machine))
        assert re.fullmatch(r"[0-9a-f]{7,40}", row.commit), row
