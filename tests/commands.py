"""The `legible` command as the tests run it: as a process of its own, or serving on a free port."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def run(*words: object, folder: Path, stdin: str = "", **settings: str) -> Ran:
    """Runs `legible` as a shell would, in that folder."""
    done = subprocess.run(
        [EXECUTABLE, *(str(word) for word in words)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env=environment() | settings,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """Ours, without settings of the service, and as outside of a container."""
    kept = os.environ.items()
    return {name: value for name, value in kept if not name.startswith("LEGIBLE_") and name != "container"}


@dataclass(frozen=True)
class Serving:
    """A server that is up: where, what it said when it was ready, and its process."""

    url: str
    said: str
    process: subprocess.Popen[bytes]


@contextmanager
def serving(
    *words: object, folder: Path, program: Sequence[object] = (EXECUTABLE,), **settings: str
) -> Iterator[Serving]:
    """`legible serve` as a process of its own on a free port, stopped at the end."""
    command = [str(word) for word in (*program, "serve", "--port", "0", *words)]
    said, log = folder / "said", folder / "log"
    with said.open("w") as out, log.open("w") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=folder, env=environment() | settings)
    try:
        for _ in range(2400):  # a busy machine takes its time
            ready = re.search(r"ready at (http://\S+)", said.read_text())
            if ready or process.poll() is not None:
                break
            time.sleep(0.1)
        assert ready, log.read_text()
        yield Serving(ready[1], said.read_text(), process)
    finally:
        process.terminate()
        process.wait(120)
