"""The docs: the same Markdown pages in each language, with this server's address, prices and limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from legible.console.i18n import mark

FOLDER = Path(__file__).parent / "guide"


@dataclass(frozen=True, slots=True)
class Chapter:
    name: str
    title: str


CHAPTERS = (
    Chapter("quick-start", mark("Quick start")),
    Chapter("acedata", mark("Ace Data Cloud dialect")),
    Chapter("captchaapi", mark("captchaapi.com dialect")),
    Chapter("createtask", mark("createTask dialect")),
    Chapter("v1", mark("Legible's own API")),
    Chapter("errors", mark("Errors")),
    Chapter("from-acedata", mark("Moving from Ace Data Cloud")),
    Chapter("from-captchaapi", mark("Moving from captchaapi.com")),
    Chapter("limits", mark("Limits")),
    Chapter("changelog", mark("Changelog")),
)

_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
# HTML in Markdown is off, so that whatever is filled in (a name of the price list, say) stays text.
_templates = Environment(  # nosec B701
    loader=FileSystemLoader(FOLDER),
    autoescape=False,  # noqa: S701 - it makes Markdown, not HTML
    undefined=StrictUndefined,
    trim_blocks=True,
)


def text(name: str, language: str, values: Mapping[str, object]) -> str:
    """The Markdown of a chapter."""
    return _templates.get_template(f"{language}/{name}.md").render(values)


def page(name: str, language: str, values: Mapping[str, object]) -> Markup:
    """The chapter as HTML, in which wide code and tables can be scrolled by keyboard."""
    html = str(_markdown.render(text(name, language, values)))
    html = html.replace("<pre>", '<pre tabindex="0" translate="no">').replace("<code", '<code translate="no"')
    return Markup(html.replace("<table>", '<table tabindex="0">'))  # noqa: S704  # nosec B704
