"""The client code of Try it, run as its readers would run it: every operation of the page, every language."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from legible.console import kinds
from legible.console.kinds import KINDS, Operation
from legible.recognizers import Recognizer
from legible.tasks import (
    Answer,
    ArithmeticOptions,
    ClickOptions,
    GridOptions,
    Kind,
    Options,
    SliderOptions,
    Task,
    TextOptions,
)
from tests.console.conftest import Site, running
from tests.console.fakes import RECOGNIZERS
from tests.servers import missing
from tests.service import draw

SNIPPETS = Path(kinds.__file__).parent / "static" / "snippets.js"
# Writes the code of each call that it reads, in each language; "@piece" stands for a file.
WRITER = """
import { readFileSync } from "node:fs";
import { LANGUAGES, Picture, request } from "./snippets.mjs";
const { base, key, calls } = JSON.parse(readFileSync(0, "utf-8"));
const written = calls.map(({ operation, options, count }) => {
  if (options.piece) options.piece = new Picture("piece", "piece.png");
  const call = request(base, operation, key, options, count);
  return Object.fromEntries(Object.entries(LANGUAGES).map(([name, [, write]]) => [name, write(call)]));
});
console.log(JSON.stringify(written));
"""
# The file that a reader would save the code in, and how they would run it.
RUN: dict[str, tuple[str, list[Sequence[str]]]] = {
    "curl": ("call.sh", [("sh", "call.sh")]),
    "python": ("call.py", [(sys.executable, "call.py")]),
    "javascript": ("call.mjs", [("node", "call.mjs")]),
    "php": ("call.php", [("php", "call.php")]),
    "go": ("call.go", [("go", "run", "call.go")]),
    "java": ("Call.java", [("java", "Call.java")]),
    "csharp": ("call.cs", [("mcs", "-r:System.Net.Http", "call.cs"), ("mono", "call.exe")]),
}
# Whatever a language may find special in a text.
QUESTION = "Pick \"the odd\" \\one\\ of 'two' at $HOME, `id`, ${x}, #{x}, %s, %d and {y} <b>: 点击“唯一”"
OPTIONS: dict[str, Any] = {
    "charset": "digits", "min_length": 2, "max_length": 11, "case": "upper",
    "confidence": 0.5, "threshold": 0.5,
    "numeric": 1, "minLength": 2, "maxLength": 11,
    "piece": "@piece", "question": QUESTION, "top": 3, "origin": "top-left",
}  # fmt: skip
SAYS = {Kind.TEXT: "=1+", Kind.ARITHMETIC: "8", Kind.SLIDER: "120", Kind.GRID: "0.99"}
BARE: dict[Kind, Options] = {
    Kind.ARITHMETIC: ArithmeticOptions(),
    Kind.TEXT: TextOptions(),
    Kind.SLIDER: SliderOptions(),
    Kind.GRID: GridOptions("/m/01pns0"),
    Kind.CLICK: ClickOptions(QUESTION),
}
ONE, SEVERAL = "120", "0.8"  # what a click says of one picture, and of several
PICTURE, SECOND, PIECE = draw(size=(300, 300)), draw("Q", size=(300, 300)), draw("P", size=(45, 45))
# How many pictures go with each, of the operations of a click both forms, and whether every option is filled.
CALLS = [
    (page.kind, operation, count, is_full)
    for page in KINDS.values()
    for operation in page.operations
    for count, is_full in ((1, True), (2, True), (1, False))
    if count == 1 or page.kind is Kind.CLICK
    # Where the options are an object of their own, none may be filled.
    if is_full or (operation.dialect == "v1" and not any(option.is_required for option in operation.options))
]


def options_of(kind: Kind, operation: Operation, is_full: bool) -> dict[str, Any]:
    """A value for every field that the page shows, or only for those that must have one."""
    shown = [option for option in operation.options if is_full or option.is_required]
    chosen = {option.field: OPTIONS[option.field] for option in shown}
    return chosen | ({"question": "/m/01pns0"} if kind is Kind.GRID else {})


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    """What the recognizers were asked, in order."""
    return []


@pytest.fixture(scope="module")
def site(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, tasks: list[Task]
) -> Iterator[Site]:
    def told(recognizer: Recognizer, task: Task) -> Answer:
        tasks.append(task)
        return recognizer(task)

    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("site") / "legible.db")
    with running(path, {kind: partial(told, each) for kind, each in RECOGNIZERS.items()}) as found:
        yield found


@pytest.fixture(scope="module")
def written(site: Site, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The code of each of `CALLS`, by language."""
    if not shutil.which("node"):
        missing("Node.js")
    folder = tmp_path_factory.mktemp("snippets")
    shutil.copy(SNIPPETS, folder / "snippets.mjs")
    (folder / "write.mjs").write_text(WRITER, "utf-8")
    member = site.member()
    site.parts.accounts.top_up(member.account_id, 100_000_000, "for the tests")
    calls = [
        {"operation": asdict(each), "options": options_of(kind, each, is_full), "count": count}
        for kind, each, count, is_full in CALLS
    ]
    asked = json.dumps({"base": site.url, "key": member.new_key(), "calls": calls})
    found: list[dict[str, str]] = json.loads(run(("node", "write.mjs"), folder, asked))
    return found


def run(command: Sequence[str], folder: Path, given: str | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    # Java compiles less and starts sooner.
    environment |= {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
    ran = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
    return ran.stdout


def expected(kind: Kind, operation: Operation, count: int, is_full: bool) -> Task:
    """What must reach the recognizer, whatever the language."""
    if not is_full:
        return Task(kind, (PICTURE,), BARE[kind])
    fields = {option.field for option in operation.options}
    options: dict[Kind, Options] = {
        Kind.ARITHMETIC: ArithmeticOptions(),
        Kind.TEXT: TextOptions("0123456789", 2, 11, "upper" if "case" in fields else "keep"),
        Kind.SLIDER: SliderOptions(PIECE),
        Kind.GRID: GridOptions("/m/01pns0", 3),
        Kind.CLICK: ClickOptions(QUESTION),
    }
    return Task(kind, (PICTURE, SECOND)[:count], options[kind], threshold=0.5)


@pytest.mark.parametrize("language", RUN)
def test_the_code_makes_the_call_that_the_page_makes(
    written: list[dict[str, str]], tasks: list[Task], language: str, tmp_path: Path
) -> None:
    name, commands = RUN[language]
    for command in commands:
        if not shutil.which(command[0]):
            missing(command[0])
    for file, image in (("captcha", PICTURE), ("captcha-1", PICTURE), ("captcha-2", SECOND)):
        (tmp_path / f"{file}.png").write_bytes(image)
    (tmp_path / "piece.png").write_bytes(PIECE)
    for (kind, operation, count, is_full), code in zip(CALLS, written, strict=True):
        (tmp_path / name).write_text(code[language], "utf-8")
        tasks.clear()
        said = [run(command, tmp_path) for command in commands][-1]
        says = SAYS.get(kind, ONE if count == 1 else SEVERAL)
        assert says in said, f"{kind} in the dialect {operation.dialect}: {said}"
        assert tasks == [expected(kind, operation, count, is_full)]


def test_every_language_of_the_page_is_run(written: list[dict[str, str]]) -> None:
    assert set(RUN) == set(written[0])
