"""Both languages say everything: no sentence without its translation, and the same guide twice."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import legible.console
from legible.console import guide
from legible.console.i18n import LOCALE_DIR, choose
from legible.settings import Settings
from tests.console.conftest import PASSWORD, Site
from tests.console.fakes import UNREADABLE_SIZE

CONSOLE = Path(legible.console.__file__).parent
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "mark": None, "translate": None}
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]


@pytest.fixture(scope="module")
def sentences() -> set[object]:
    """Every marked sentence of the console."""
    options = {"templates/**.html": {"trimmed": "true", "silent": "false"}}
    found = extract_from_dir(CONSOLE, METHODS, options, keywords=KEYWORDS)
    return {message for _, _, message, _, _ in found}


@pytest.fixture(scope="module")
def chinese() -> Catalog:
    with (LOCALE_DIR / "zh_Hans" / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale="zh_Hans")


def test_every_sentence_has_a_translation(sentences, chinese: Catalog) -> None:
    assert len(sentences) > 400
    missing = [each for each in sentences if not (found := chinese.get(each)) or not _text(found.string)]
    assert missing == [], "run make translate, then fill console/locale/zh_Hans"


def _text(translation: object) -> str:
    return translation[0] if isinstance(translation, tuple) else str(translation)


def test_no_translation_is_of_a_sentence_that_is_gone(sentences, chinese: Catalog) -> None:
    assert [message.id for message in chinese if message.id and message.id not in sentences] == []


def test_a_translation_fills_in_what_its_sentence_does(chinese: Catalog) -> None:
    for message in chinese:
        if not message.id:
            continue
        original, translated = _text(message.id), _text(message.string)
        for pattern in (r"%\(\w+\)s", r"\{\w+\}"):
            assert sorted(re.findall(pattern, original)) == sorted(re.findall(pattern, translated)), original
        if "%(" in original:
            names = re.findall(r"%\((\w+)\)s", original)
            assert translated % dict.fromkeys(names, "1"), original


def test_translations_are_chinese(chinese: Catalog) -> None:
    for message in chinese:
        if message.id:
            assert re.search(r"[\u4e00-\u9fff]", _text(message.string)), message.id


def values() -> dict[str, object]:
    return {
        "base": "http://localhost:8000",
        "yuan": str,
        "types": [],
        "kinds": [],
        "settings": Settings(),
        "explanations": [],
        "labels": [],
        "chinese": False,
    }


@pytest.mark.parametrize("chapter", guide.CHAPTERS, ids=lambda chapter: chapter.name)
def test_a_chapter_of_the_guide_has_the_same_parts_in_both_languages(chapter) -> None:
    english, chinese = (guide.text(chapter.name, language, values()) for language in ("en", "zh_Hans"))
    assert shape(english) == shape(chinese)
    assert re.search(r"[\u4e00-\u9fff]", chinese)


def shape(text: str) -> list[object]:
    """Headings by level, tables by rows, code word for word, and where links lead."""
    code = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    plain = re.sub(r"```\w*\n.*?```", "", text, flags=re.DOTALL)
    return [
        re.findall(r"^#+", plain, re.MULTILINE),
        len(re.findall(r"^\|", plain, re.MULTILINE)),
        len(re.findall(r"^- ", plain, re.MULTILINE)),
        sorted(re.findall(r"\]\(([^)]+)\)", plain)),
        code,
    ]


@pytest.mark.parametrize(
    ("wanted", "header", "language"),
    [
        ([None, None], "", "en"),
        ([None, None], "zh-CN,zh;q=0.9,en;q=0.8", "zh_Hans"),
        ([None, None], "en-GB,en;q=0.9,zh;q=0.8", "en"),
        ([None, None], "fr,zh-TW;q=0.5", "zh_Hans"),
        ([None, "en"], "zh-CN", "en"),
        (["zh_Hans", "en"], "en", "zh_Hans"),
        (["xx", None], ";;q=,*;q=x", "en"),
        ([None, None], "EN", "en"),
        ([None, None], "EN-US,fr", "en"),
        ([None, None], "zh-hans", "zh_Hans"),
        ([None, None], "ZH-CN; q=0.9, en; q=0.8", "zh_Hans"),
        ([None, None], "zh-Hant-TW", "zh_Hans"),
        ([None, None], "zh-MO;q=0,en;q=0.1", "en"),
        ([None, None], "de, zh-Hans-CN;q=0.2", "zh_Hans"),
    ],
)
def test_the_language_is_the_chosen_one_then_the_browsers(wanted, header, language) -> None:
    assert choose(wanted, header) == language


def visible(html: str) -> Iterator[str]:
    """What a reader sees as prose: text outside code and what is marked as not to be translated."""
    html = re.sub(r"<(script|style|code|pre|textarea)\b.*?</\1>", " ", html, flags=re.DOTALL)
    html = re.sub(r"<title>.*?</title>", " ", html, flags=re.DOTALL)
    depth: list[bool] = []
    hidden = 0
    for part in re.split(r"(<[^>]+>)", html):
        if not part.startswith("<"):
            if not hidden and part.strip():
                yield part.strip()
            continue
        name = re.match(r"</?([\w-]+)", part)
        if name is None or name[1] in VOID or part.endswith("/>"):
            continue
        if part.startswith("</"):
            hidden -= depth.pop() if depth else 0
        else:
            depth.append('translate="no"' in part)
            hidden += depth[-1]


VOID = {"input", "img", "br", "hr", "link", "meta"}
# Names that are the same in both languages.
NAMES = {
    "API", "Ace", "After", "Anti", "BMP", "CapMonster", "CapSolver", "Captcha", "YesCaptcha",
    "CDN", "CI", "CSV", "Cloud", "Cookie", "Data", "GIF", "Go", "HTTP", "IP",
    "Idempotency", "JPEG", "JSON", "Java", "JavaScript", "Key", "KiB", "Legible", "MiB", "OpenAPI", "PHP",
    "Content", "GET", "PNG", "POST", "PUT", "Prometheus", "Python", "RFC", "Retry", "Type", "URL", "UTC",
    "WebP", "base", "captchaapi", "com", "createTask", "curl", "ddddocr", "digits", "hcaptcha", "letters",
    "lower", "ms", "upper",
}  # fmt: skip


def english_in(html: str) -> list[str]:
    """English words of a page that stand outside names."""
    found = []
    for text in visible(html):
        words = re.findall(r"[A-Za-z][A-Za-z']+", re.sub(r"\S+@\S+|&\w+;|/[\w/.:-]+", " ", text))
        left = [word for word in words if word not in NAMES and not word.startswith(("http", "lg_"))]
        if left:
            found.append(" ".join(left))
    return found


def test_the_search_for_english_finds_it() -> None:
    assert english_in("<p>Your balance</p>") == ["Your balance"]
    assert english_in('<p translate="no">Staging <b>key</b></p><p>余额</p><code>balance</code>') == []


PAGES = [
    "/", "/login", "/signup", "/pricing", "/benchmarks", "/nothing", "/console", "/console/try",
    "/console/keys", "/console/keys/{key}", "/console/calls", "/console/calls/{call}", "/console/statistics",
    "/console/balance", "/console/settings", "/admin", "/admin/users/{account}", "/admin/types",
    "/admin/codes", "/admin/models", "/admin/ledger", "/admin/audit",
    *(f"/guide/{chapter.name}" for chapter in guide.CHAPTERS),
]  # fmt: skip


@pytest.fixture(scope="module")
def reader(site: Site):
    """A Chinese administrator who has calls, one of them refused, keys, and an entry in the audit log."""
    person = site.visitor(**{"accept-language": "zh-CN"})
    person.email = "reader@example.com"
    person.post("/signup", {"email": person.email, "password": PASSWORD}, at="/signup")
    site.parts.accounts.set_admin(person.account_id, True)
    person.new_key("测试")
    for size in ((120, 40), UNREADABLE_SIZE, (120, 40)):
        person.call(size=size)
    person.post("/admin/codes", {"amount": "5", "number": "1", "note": "春节"})
    person.post(f"/admin/users/{person.account_id}/top-up", {"amount": "1", "reason": "春节"})
    return person


@pytest.mark.parametrize("path", PAGES)
def test_a_chinese_page_has_no_english_left(reader, path: str) -> None:
    filled = path.format(key=reader.key_id(), call=reader.log_ids()[1], account=reader.account_id)
    page = reader.get(filled)
    assert page.status_code in (200, 303, 404)
    if page.status_code == 303:
        page = reader.site.visitor(**{"accept-language": "zh-CN"}).get(path)
    assert 'lang="zh-Hans"' in page.text
    assert english_in(page.text) == []
