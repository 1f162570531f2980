import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_that_a_page_names_are_there(page):
    named = re.findall(r"`((?:src|tests|training|benchmarks|docs|setup)/[\w./-]+)`", page.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_decision_says_why_and_which_test_holds_it():
    entries = (ROOT / "docs" / "decisions.md").read_text("utf-8").split("\n## ")[1:]
    parts = ("**Context.**", "**Decision.**", "**Consequences.**", "**Alternatives.**", "**Held by**")
    assert [entry.splitlines()[0] for entry in entries if not all(part in entry for part in parts)] == []


def test_both_readmes_have_the_same_sections_and_commands():
    english, chinese = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))
    assert english.count("\n## ") == chinese.count("\n## ")
    assert blocks(english) == blocks(chinese)


def blocks(text: str) -> list[str]:
    """The code of a page, without what is said beside it."""
    return [re.sub(r"#.*", "", block) for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)]
