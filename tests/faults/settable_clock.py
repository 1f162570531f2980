"""`legible` with a clock that a test sets: `python -m tests.faults.settable_clock FILE serve …`.

The file says by how many seconds the clock on the wall is wrong; the monotonic one goes on as ever. A file
beside it, `.followed`, says what the clock has heard of.
"""

import sys
import threading
import time
from pathlib import Path

LOOK_SECONDS = 0.05


class Clock:
    """Stands in for `time.time` and `time.time_ns`."""

    def __init__(self, file: Path) -> None:
        self.file, self.wrong_ns = file, 0
        self._time_ns = time.time_ns
        time.time, time.time_ns = self.time, self.time_ns

    def time(self) -> float:
        return self.time_ns() / 1e9

    def time_ns(self) -> int:
        return self._time_ns() + self.wrong_ns

    def follow(self) -> None:
        while True:
            text = self.file.read_text()
            self.wrong_ns = int(text) * 10**9
            self.file.with_suffix(".followed").write_text(text)
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    clock = Clock(Path(sys.argv.pop(1)))
    threading.Thread(target=clock.follow, daemon=True).start()
    from legible.cli import main

    main()
