"""The console in a real browser, in both languages: from the sign-up to the last yuan and the revoked key."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from legible import recognizers
from legible.console.kinds import KINDS
from legible.tasks import Kind
from tests.console.conftest import PASSWORD, Site, running
from tests.console.fakes import HOSTILE
from tests.console.test_languages import english_in
from tests.e2e.conftest import ARTIFACTS, visitor

NUMBERS = count(1)
expect.set_options(timeout=30_000)
LANGUAGES = ("en", "zh")
SAY = {
    "en": {"run": "Run", "answered": "Answered", "deleted": "Deleted", "refused": "used_up"},
    "zh": {"run": "运行", "answered": "已识别", "deleted": "已删除", "refused": "used_up"},
}
# What the recognizers of the tests say, and what must then stand on the picture.
ANSWERS = {
    "text": (HOSTILE, ".character", len(HOSTILE)),
    "arithmetic": ("3+5 = 8", "image", 1),
    "slider": ("120", "rect.mark", 1),
    "grid": ("2, 5, 7", "rect.cell.hit", 3),
    "click": ("120, 90", "circle.mark", 2),
}


@contextmanager
def opened(chromium: Browser, language: str, **options: object) -> Iterator[tuple[BrowserContext, Page]]:
    """A page whose script errors and refused inline code fail the test."""
    context = visitor(chromium, language, **options)
    page = context.new_page()
    page.set_default_timeout(30_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if "Content Security" in m.text else None)
    try:
        yield context, page
    finally:
        context.close()
    assert wrong == []


def follow(page: Page, selector: str, url: str | None = None) -> None:
    """Clicks what leads to another page, and waits until it is there with its style sheet and scripts.

    A click returns when the next page has begun. A reader sees it only with its style; a test sees it bare.
    """
    with page.expect_navigation(url=url):
        page.click(selector)


def sign_up(site: Site, page: Page) -> str:
    email = f"browser{next(NUMBERS)}@example.com"
    page.goto(f"{site.url}/signup")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    follow(page, "main form button", "**/console?done=welcome")
    return email


def make_key(site: Site, page: Page, name: str = "Staging") -> str:
    page.goto(f"{site.url}/console/keys")
    page.fill("#name", name)
    follow(page, "#new button.primary")
    return page.inner_text("#new-key")


def read(page: Page) -> str:
    """Presses Run; the answer, once the log has told the cost."""
    page.click("#run")
    page.wait_for_selector("#facts[data-cost]")
    text = page.inner_text("#outcome")
    page.evaluate("document.querySelector('#facts').removeAttribute('data-cost')")
    return text


@pytest.mark.parametrize("language", LANGUAGES)
def test_from_the_sign_up_to_the_last_yuan_and_the_revoked_key(site: Site, chromium, language) -> None:
    say = SAY[language]
    with opened(chromium, language) as (_, page):
        email = sign_up(site, page)
        account_id = site.parts.accounts.by_email(email).id
        key = make_key(site, page)
        assert re.fullmatch(r"lg_[\w-]{43}", key)
        follow(page, "#made a.primary", "**/console/try*")
        assert page.inner_text("#run") == say["run"]
        read_every_kind(page)

        page.goto(f"{site.url}/console/calls")
        page.wait_for_selector("tbody tr")
        assert page.locator("tbody tr").count() == len(ANSWERS)
        assert page.locator("tbody .badge.good").first.inner_text() == say["answered"]
        assert page.locator("tbody tr").last.locator(".clip").inner_text() == HOSTILE
        follow(page, "tbody tr:last-child a")
        assert page.inner_text(".answer") == HOSTILE
        follow(page, 'a[href*="#entry-"]')
        expect(page.locator("tr:target")).to_contain_text("−¥0.001")

        redeem_a_code(site, page)
        run_out_of_balance(site, page, account_id, say)
        revoke(site, page, say)


def read_every_kind(page: Page) -> None:
    for kind, (answer, mark, marks) in ANSWERS.items():
        page.click(f'[data-kind="{kind}"]')
        expect(page.locator("#samples button").first).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#base64")).not_to_have_value("")
        expect(page.locator("#stage svg image")).to_have_count(1)
        assert answer in read(page)
        found = page.locator(f"#stage {mark}, #characters {mark}")
        assert found.count() == marks, kind
        assert page.inner_text("#outcome") in page.inner_text("#result")
        assert page.locator("b, script", has_text="x</b>").count() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shipped_recognizers_read_a_sample_of_each_kind(
    sqlite_template: Path, tmp_path: Path, chromium, language
) -> None:
    path = shutil.copy(sqlite_template, tmp_path / "legible.db")
    with running(path, recognizers.available()) as site, opened(chromium, language) as (_, page):
        sign_up(site, page)
        make_key(site, page)
        follow(page, "#made a.primary", "**/console/try*")
        for kind, shown in KINDS.items():
            page.click(f'[data-kind="{kind}"]')
            expect(page.locator("#samples button").first).to_have_attribute("aria-pressed", "true")
            expect(page.locator("#base64")).not_to_have_value("")
            expect(page.locator("#stage svg image")).to_have_count(1)
            assert says(kind, shown.samples[0].truth, read(page)), kind
        page.goto(f"{site.url}/console/calls")
        assert page.locator("tbody .badge.good").count() == len(KINDS)


def says(kind: Kind, truth: str, outcome: str) -> bool:
    """Whether the page shows the truth; places may be some pixels off."""
    if kind in (Kind.TEXT, Kind.ARITHMETIC):
        return truth in outcome
    wanted, found = (list(map(int, re.findall(r"\d+", text))) for text in (truth, outcome))
    off = 0 if kind is Kind.GRID else 20
    return len(wanted) == len(found) and all(abs(a - b) <= off for a, b in zip(wanted, found, strict=True))


def redeem_a_code(site: Site, page: Page) -> None:
    admin = site.administrator()
    made = admin.post("/admin/codes", {"amount": "2", "number": "1", "note": ""})
    code = re.search(r"(?:[2-9A-Z]{5}-){3}[2-9A-Z]{5}", made.text)[0]
    page.goto(f"{site.url}/console/balance")
    before = float(page.inner_text("#balance-now").strip("¥"))
    page.fill("#code", code)
    follow(page, 'form[action$="redeem"] button', "**/console/balance?done=redeemed")
    assert float(page.inner_text("#balance-now").strip("¥")) == pytest.approx(before + 2)
    page.fill("#code", code)
    page.click('form[action$="redeem"] button')
    expect(page.locator("#code-error")).to_be_visible()


def run_out_of_balance(site: Site, page: Page, account_id: int, say) -> None:
    rest = site.parts.accounts.get(account_id).balance_micros
    site.parts.accounts.correct(account_id, -rest, "a test wants it empty")
    page.goto(f"{site.url}/console/try?kind=text&dialect=acedata")
    expect(page.locator("#base64")).not_to_have_value("")
    assert say["refused"] in read(page)
    assert page.locator("#outcome.bad").get_attribute("data-status") == "403"
    page.goto(f"{site.url}/console")
    expect(page.locator(".notice.warn")).to_contain_text("¥0.00")


def revoke(site: Site, page: Page, say) -> None:
    page.goto(f"{site.url}/console/keys")
    follow(page, "tbody a.button")
    page.on("dialog", lambda dialog: dialog.accept())
    follow(page, ".button.danger", "**/console/keys?done=key-deleted")
    page.goto(f"{site.url}/console/keys?old=1")
    assert page.locator("tbody .badge.bad").first.inner_text() == say["deleted"]
    page.goto(f"{site.url}/console/try?kind=text&dialect=acedata")
    expect(page.locator("#base64")).not_to_have_value("")
    assert "invalid_token" in read(page)


def test_the_code_follows_what_is_typed_and_makes_the_call(site: Site, chromium, tmp_path) -> None:
    with opened(chromium, "en") as (_, page):
        sign_up(site, page)
        key = make_key(site, page, "CI")
        page.goto(f"{site.url}/console/try")
        for dialect in ("acedata", "v1"):
            page.select_option("#dialect", dialect)
            page.evaluate("document.querySelector('#more-options').open = true")
            page.fill("#option-charset", "digits")
            for tab in page.locator("#languages button").all():
                tab.click()
                code = page.inner_text("#snippet")
                for part in (site.url, "YOUR_API_KEY", "captcha.png", "charset", "digits"):
                    assert part in code, tab.inner_text()
        page.click("#language-curl")
        Image.new("RGB", (80, 30), "white").save(tmp_path / "captcha.png")
        code = page.inner_text("#snippet").replace("YOUR_API_KEY", key)
        said = subprocess.run(["sh", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert json.loads(said.stdout)["answer"]["text"] == HOSTILE


def test_a_question_is_asked_of_several_pictures_at_once(site: Site, chromium, tmp_path) -> None:
    files = [tmp_path / f"{name}.png" for name in "abc"]
    for shade, file in zip((0, 100, 200), files, strict=True):
        Image.new("RGB", (60, 60), (shade,) * 3).save(file)
    with opened(chromium, "en") as (_, page):
        sign_up(site, page)
        make_key(site, page)
        page.goto(f"{site.url}/console/try?kind=click")
        expect(page.locator("#several")).to_be_visible()
        for first, dialect in enumerate(("acedata", "createtask", "v1")):
            page.select_option("#dialect", dialect)
            page.fill("#option-question", "Please click each image containing a cat")
            # Another one first, so that what is looked for is not what was there before.
            page.set_input_files("#file", [*files[first:], *files[:first]])
            expect(page.locator("#picked")).to_contain_text(f"{files[first].name} + 2")
            expect(page.locator("#snippet")).to_contain_text("captcha-3.png")
            expect(page.locator("#stage svg image")).to_have_count(3)
            assert read(page) == "tiles: 1"  # what the recognizer of the tests says of three
            expect(page.locator("#stage rect.cell.hit")).to_have_count(1)
        page.click('[data-kind="text"]')
        expect(page.locator("#several")).to_be_hidden()
        page.set_input_files("#file", files[:1])
        expect(page.locator("#stage svg image")).to_have_count(1)


def test_an_answer_of_createtask_is_read_drawn_and_found_in_the_log(site: Site, chromium) -> None:
    said = {
        "text": HOSTILE,
        "arithmetic": "3+5 = 8",
        "slider": "115",
        "grid": "tiles: 2, 5, 7",
        "click": "120, 90",
    }
    with opened(chromium, "en") as (_, page):
        sign_up(site, page)
        for kind, outcome in said.items():
            page.goto(f"{site.url}/console/try?kind={kind}&dialect=createtask")
            expect(page.locator("#base64")).not_to_have_value("")
            assert read(page) == outcome
            assert '"errorId": 0' in str(page.text_content("#raw"))
        assert page.locator("#stage svg circle").count() == 2


def test_what_is_chosen_last_is_what_is_sent(site: Site, chromium) -> None:
    with opened(chromium, "en") as (_, page):
        sign_up(site, page)
        page.goto(f"{site.url}/console/try?kind=slider")
        expect(page.locator("#picked")).to_contain_text("slider-1.jpg")
        expect(page.locator("#snippet")).to_contain_text("piece")
        page.select_option("#dialect", "v1")
        expect(page.locator("#snippet")).to_contain_text("piece")

        page.click('[data-file="slider-2.jpg"]')
        expect(page.locator("#picked")).to_contain_text("slider-2.jpg")
        expect(page.locator("#snippet")).not_to_contain_text("piece")

        held: list[Route] = []
        page.route("**/samples/slider-1.jpg", lambda route: held.append(route))
        page.click('[data-file="slider-1.jpg"]')
        page.click('[data-file="slider-3.jpg"]')
        expect(page.locator("#picked")).to_contain_text("slider-3.jpg")
        with page.expect_response("**/samples/slider-1.jpg"):
            held[0].continue_()
        expect(page.locator("#picked")).to_contain_text("slider-3.jpg")
        expect(page.locator("#snippet")).not_to_contain_text("piece")


def test_what_was_filled_in_outlives_a_change_of_dialect(site: Site, chromium, tmp_path) -> None:
    Image.new("RGB", (45, 45), "white").save(tmp_path / "own.png")
    with opened(chromium, "en") as (_, page):
        sign_up(site, page)
        page.goto(f"{site.url}/console/try?kind=click&dialect=acedata")
        expect(page.locator("#option-question")).not_to_have_value("")
        page.fill("#option-question", "click on the elephant")
        for dialect in ("v1", "createtask", "acedata"):
            page.select_option("#dialect", dialect)
            expect(page.locator("#option-question")).to_have_value("click on the elephant")
            expect(page.locator("#snippet")).to_contain_text("click on the elephant")

        page.click('[data-kind="slider"]')
        piece, sample = page.locator("#option-piece"), page.locator('[data-file-of="piece"]')
        expect(sample).to_have_text("slider-1-piece.png")
        piece.set_input_files(tmp_path / "own.png")
        for dialect in ("v1", "createtask", "captchaapi"):
            page.select_option("#dialect", dialect)
            expect(sample).to_have_text("")
            assert piece.evaluate("input => input.files[0].name") == "own.png"
            expect(page.locator("#snippet")).to_contain_text("piece")
        page.set_input_files("#file", tmp_path / "own.png")
        expect(page.locator("#picked")).to_contain_text("own.png")
        expect(page.locator("#snippet")).to_contain_text("piece")
        piece.set_input_files([])
        expect(page.locator("#snippet")).not_to_contain_text("piece.png")
        piece.set_input_files(tmp_path / "own.png")
        page.click('[data-file="slider-2.jpg"]')
        expect(page.locator("#picked")).to_contain_text("slider-2.jpg")
        assert piece.evaluate("input => input.files.length") == 0
        expect(page.locator("#snippet")).not_to_contain_text("piece.png")


def test_a_call_is_run_again_with_its_question(site: Site, chromium) -> None:
    with opened(chromium, "en") as (_, page):
        sign_up(site, page)
        page.goto(f"{site.url}/console/settings")
        follow(page, "#images button")
        make_key(site, page)
        for kind, question in (("grid", "/m/01pns0"), ("click", "the odd one"), ("slider", None)):
            page.goto(f"{site.url}/console/try?kind={kind}&dialect=v1")
            expect(page.locator("#base64")).not_to_have_value("")
            read(page)
            follow(page, "#facts a")
            follow(page, f'.actions a[href*="kind={kind}"]')
            if question:
                expect(page.locator("#option-question")).to_have_value(question)
                expect(page.locator("#snippet")).to_contain_text(question)
            else:
                expect(page.locator("#state")).to_contain_text("A picture of the piece is not kept")
            page.click("#run")
            page.wait_for_selector("#facts[data-cost]")
            expect(page.locator("#outcome")).to_have_attribute("data-status", "200")


PAGES = [
    "/pricing", "/benchmarks", "/guide/quick-start", "/guide/errors", "/nothing", "/console", "/console/try",
    "/console/keys", "/console/calls", "/console/statistics", "/console/balance", "/console/settings",
    "/admin", "/admin/types", "/admin/codes", "/admin/models", "/admin/ledger", "/admin/audit",
]  # fmt: skip
OUTSIDE = ("/", "/signup", "/login")


def prepared(site: Site, page: Page) -> None:
    """An administrator with a key and a call, at the Try it page with its answer."""
    email = sign_up(site, page)
    site.parts.accounts.set_admin(site.parts.accounts.by_email(email).id, True)
    make_key(site, page)
    page.goto(f"{site.url}/console/try?kind=slider")
    expect(page.locator("#base64")).not_to_have_value("")
    read(page)


# Between the two languages, every width is seen in light and dark.
SCREENS = {"zh": [(360, "dark"), (1280, "light")], "en": [(360, "light"), (1280, "dark")]}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_fits_every_screen(site: Site, chromium, language) -> None:
    with opened(chromium, language) as (_, page):
        for path in OUTSIDE:
            page.goto(site.url + path)
            look(page, language, path)
        prepared(site, page)
        look(page, language, "/tried")
        for path in PAGES:
            page.goto(site.url + path)
            look(page, language, path)


def look(page: Page, language: str, path: str) -> None:
    """Nothing is wider than the screen, nothing is left in English; and a picture is kept of each."""
    for width, scheme in SCREENS[language]:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path} is {wide} px too wide at {width} px"
        keep(page, f"{language}{path.replace('/', '-')}-{width}-{scheme}")
    if language == "zh":
        assert english_in(shown(page)) == [], path


def shown(page: Page) -> str:
    """The page as it is after its scripts have run."""
    return str(page.evaluate("document.body.outerHTML"))


def keep(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name.strip('-')}.png", full_page=True)


AXE_PAGES = [
    "/console", "/console/calls", "/console/statistics", "/console/settings", "/admin/types", "/guide/errors",
]  # fmt: skip


def test_axe_finds_nothing_serious_in_light_and_dark(site: Site, chromium, axe: str) -> None:
    with opened(chromium, "en", bypass_csp=True) as (_, page):
        found = {path: serious(page, site.url + path, axe) for path in ("/", "/signup")}
        prepared(site, page)
        found["tried"] = serious(page, None, axe)
        found |= {path: serious(page, site.url + path, axe) for path in AXE_PAGES}
        assert {path: each for path, each in found.items() if each} == {}


def serious(page: Page, url: str | None, axe: str) -> list[str]:
    """What WCAG 2.1 AA forbids on the page; with `url` None, on the page as it is."""
    if url is not None:
        page.goto(url)
    found = []
    for scheme in ("light", "dark"):
        # A colour that is still changing would be measured half-way.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.evaluate(axe)
        result = page.evaluate(
            "axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']})"
        )
        found += [
            f"{scheme} {each['id']}: {each['nodes'][0]['html'][:200]}"
            for each in result["violations"]
            if each["impact"] in ("serious", "critical")
        ]
    return found


def test_the_console_can_be_used_by_keyboard(site: Site, chromium) -> None:
    with opened(chromium, "en", viewport={"width": 360, "height": 800}) as (_, page):
        page.goto(f"{site.url}/pricing")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        sign_up(site, page)
        page.focus(".sidebar-toggle")
        page.keyboard.press("Enter")
        expect(page.locator("#sidebar")).to_be_visible()
        page.focus('#sidebar a[href="/console/try"]')
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/try")
        page.focus("#language-curl")
        page.keyboard.press("ArrowRight")
        assert "import requests" in page.inner_text("#snippet")


def test_the_language_and_the_theme_stay_as_chosen(site: Site, chromium) -> None:
    with opened(chromium, "en") as (_, page):
        page.goto(f"{site.url}/pricing")
        follow(page, 'a[href^="/language/zh_Hans"]', "**/pricing")
        assert page.inner_text("h1") == "类型与价格"
        follow(page, "[data-theme-switch]", "**/pricing")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 23)"
        sign_up(site, page)
        assert page.get_attribute("html", "lang") == "zh-Hans"
        page.goto(f"{site.url}/console/settings")
        page.select_option("#language", "en")
        follow(page, 'form[action$="preferences"] button')
        assert page.get_attribute("html", "lang") == "en"


def test_an_administrator_checks_the_ledger_with_a_button(site: Site, chromium) -> None:
    with opened(chromium, "en") as (_, page):
        prepared(site, page)
        page.goto(f"{site.url}/admin/ledger")
        page.click("#check")
        expect(page.locator("#verdict")).to_have_text("Everything adds up.")
        assert page.evaluate("document.querySelector('#progress').value") == 1
        page.route("**/admin/ledger/*", lambda route: route.fulfill(status=500))
        page.click("#check")
        expect(page.locator("#verdict")).to_have_text("Something broke on our side")


def test_a_download_is_the_whole_log(site: Site, chromium) -> None:
    with opened(chromium, "en") as (_, page):
        prepared(site, page)
        page.goto(f"{site.url}/console/calls")
        with page.expect_download() as waiting:
            page.click('a[href^="/console/calls.json"]')
        rows = json.loads(Path(waiting.value.path()).read_text("utf-8"))
        assert [row["result"] for row in rows] == ["120"]
        assert waiting.value.suggested_filename.endswith(".json")


def test_without_the_server_the_page_says_so(site: Site, chromium) -> None:
    with opened(chromium, "en") as (context, page):
        prepared(site, page)
        context.set_offline(True)
        page.click("#run")
        expect(page.locator("#state")).to_contain_text("The server does not answer")


def test_when_the_session_is_over_the_page_leads_to_the_log_in(site: Site, chromium) -> None:
    with opened(chromium, "en") as (context, page):
        prepared(site, page)
        page.goto(f"{site.url}/console/calls")
        context.clear_cookies()
        with page.expect_navigation(url="**/login?**"):
            page.click('a[href^="/console/calls.json"]')
        page.go_back()
        page.goto(f"{site.url}/login")
    with opened(chromium, "en") as (context, page):
        sign_up(site, page)
        page.goto(f"{site.url}/console/try?kind=slider")
        expect(page.locator("#base64")).not_to_have_value("")
        context.clear_cookies()
        with page.expect_navigation(url="**/login?**"):
            page.click("#run")


def test_a_key_that_no_header_can_hold_is_not_blamed_on_the_connection(site: Site, chromium) -> None:
    with opened(chromium, "en") as (_, page):
        prepared(site, page)
        page.select_option("#key", "paste")
        page.fill("#pasted", "密钥 lg_x")
        page.click("#run")
        expect(page.locator("#state")).to_contain_text("Paste a key first")
        expect(page.locator("#result")).to_be_hidden()


def test_a_key_that_works_no_longer_is_not_offered_again(site: Site, chromium) -> None:
    with opened(chromium, "en") as (_, page):
        account = site.parts.accounts.by_email(sign_up(site, page))
        make_key(site, page)
        page.goto(f"{site.url}/console/try?kind=slider")
        expect(page.locator("#base64")).not_to_have_value("")
        offered = page.locator("#key [data-known]")
        assert offered.count() == 1
        for key in site.parts.keys.list(account.id):
            site.parts.keys.revoke(key.id, account.id)
        page.click("#run")
        expect(page.locator("#outcome")).to_contain_text("已被撤销")
        assert offered.count() == 0
        expect(page.locator("#key")).to_have_value("trial")


def test_an_example_on_the_landing_page_is_read_and_drawn(site: Site, chromium) -> None:
    with opened(chromium, "en") as (_, page):
        page.goto(site.url)
        page.click('[data-kind="text"]')
        expect(page.locator("#outcome")).to_have_text(HOSTILE)
        assert page.locator(".character").count() == len(HOSTILE)


@pytest.mark.parametrize(
    ("status", "says"), [(429, "Too many attempts"), (500, "Something broke on our side")]
)
def test_an_example_that_is_not_read_is_not_blamed_on_the_connection(
    site: Site, chromium, status: int, says: str
) -> None:
    with opened(chromium, "en") as (_, page):
        page.goto(site.url)
        page.click('[data-kind="text"]')
        expect(page.locator("#outcome")).to_have_text(HOSTILE)
        page.route("**/demo/*.json", lambda route: route.fulfill(status=status))
        page.click('[data-kind="text"]')
        expect(page.locator("#took")).to_contain_text(says)
        expect(page.locator("#outcome")).to_have_text("")


def test_each_kind_asks_in_its_own_words(site: Site, chromium) -> None:
    with opened(chromium, "zh") as (_, page):
        sign_up(site, page)
        page.goto(f"{site.url}/console/try")
        for kind, hint in (("grid", "/m/01pns0"), ("click", "英文或中文")):
            page.click(f'[data-kind="{kind}"]')
            expect(page.locator("#option-question-hint")).to_contain_text(hint)
            expect(page.locator("#option-question")).not_to_have_value("")
        expect(page.locator("#option-question")).to_have_value("请点击只出现一次的物体")
