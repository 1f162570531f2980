"""The command line: called in this process, which is quick, or as a process of its own."""

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from legible.cli import main

EXECUTABLE = Path(sys.executable).parent / "legible"


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Legible = Callable[..., Ran]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Legible:
    """Runs `legible` with exactly the words that are given, in an empty folder, without settings."""

    def run(*words: object, stdin: str = "", **settings: str) -> Ran:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("LEGIBLE_")]:
                patch.delenv(name)
            for name, value in settings.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["legible", *(str(word) for word in words)])
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            with pytest.raises(SystemExit) as end:
                main()
        code = end.value.code
        assert code is None or isinstance(code, int)
        return Ran(code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def legible(bare: Legible, sqlite_url: str, tmp_path: Path) -> Legible:
    """Runs a command on a migrated SQLite database in a folder of its own."""

    def run(*words: object, **more: str) -> Ran:
        return bare(*words, "--data", tmp_path, **more)

    return run


@dataclass(frozen=True)
class Serving:
    """A server that is up: where, what it said when it was ready, and its process."""

    url: str
    said: str
    process: subprocess.Popen[bytes]


@contextmanager
def serving(*words: object, folder: Path) -> Iterator[Serving]:
    """`legible serve` as a process of its own on a free port, stopped at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEGIBLE_")}
    command = [EXECUTABLE, "serve", "--port", "0", *(str(word) for word in words)]
    said, log = folder / "said", folder / "log"
    with said.open("w") as out, log.open("w") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=folder, env=environment)
    try:
        for _ in range(600):
            ready = re.search(r"ready at (http://\S+)", said.read_text())
            if ready or process.poll() is not None:
                break
            time.sleep(0.1)
        assert ready, log.read_text()
        yield Serving(ready[1], said.read_text(), process)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def process(tmp_path: Path) -> Legible:
    """Runs `legible` as a shell would."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEGIBLE_")}

    def run(*words: object, stdin: str = "", **settings: str) -> Ran:
        done = subprocess.run(
            [EXECUTABLE, *(str(word) for word in words)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env=environment | settings,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
