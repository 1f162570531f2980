"""The command line, called in this process, which is quick."""

import io
import os
import sys
from pathlib import Path

import pytest

from legible.cli import main
from tests.commands import Legible, Ran


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
