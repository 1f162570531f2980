"""Very many mixed calls on one server: does memory grow, does anything break, are the books exact?

`make bench k=soak` sends 100,000 calls to a server of its own on 127.0.0.1 and stops by itself. Of 1,000
calls 150 are good texts, 10 of other kinds, 40 tasks or replays, 615 wrong in some way, 80 hostile
pictures, 5 huge, 10 cut off in the middle, 90 questions to other pages. Exits with 1 when a floor is missed.
Linux only.
"""

import argparse
import asyncio
import base64
import itertools
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
ROOT = HERE.parent
# Last, so that nothing here is taken for a library of the same name.
sys.path += [str(HERE), str(ROOT)]

from tests.broken_pictures import corpus  # noqa: E402

from load import LEGIBLE, Server, circumstances, new_key, running  # noqa: E402

CLIENTS = 16
SAMPLE_EVERY = 1_000
WARM_UP_SHARE = 0.2
SLOPE_FLOOR_MB = 1.0
PATIENCE_SECONDS = 120
TEXT = (ROOT / "src" / "legible" / "samples" / "text.png").read_bytes()
SMALL = 60_000
QUESTIONS: dict[str, dict[str, str]] = {
    "arithmetic": {},
    "slider": {},
    "grid": {"question": "traffic lights"},
    "click": {"question": "click on the object that is different"},
}
PAGES = (
    "/healthz", "/readyz", "/metrics", "/v1/balance", "/v1/calls", "/v1/types", "/pricing", "/nothing",
)  # fmt: skip


@dataclass(frozen=True)
class Ask:
    """One request. `charged`: a 200 is a charge; `again`: sent twice, and the replies must be the same."""

    name: str
    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    charged: bool = False
    again: bool = False
    cut: bool = False


def encoded(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


class Mix:
    """Requests in the shares that the first lines of this file say, the same ones in every run."""

    def __init__(self, key: str) -> None:
        self.dice = random.Random(5)
        self.key, self.text = key, encoded(TEXT)
        pictures = corpus()
        self.hostile = [encoded(data) for data in pictures.values() if len(data) <= SMALL]
        self.large = [encoded(data) for data in pictures.values() if len(data) > SMALL]
        self.other = list(self._other_kinds())
        makers: list[tuple[int, Callable[[], Ask]]] = [
            (150, self.good),
            (10, self.other_kind),
            (20, self.task),
            (20, self.replay),
            (615, self.wrong),
            (78, self.hostile_picture),
            (2, self.large_picture),
            (5, self.huge),
            (10, self.cut),
            (90, self.page),
        ]
        self.makers = [maker for share, maker in makers for _ in range(share)]

    def __iter__(self) -> Iterator[Ask]:
        while True:
            yield self.dice.choice(self.makers)()

    def bearer(self, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"), *more)

    def recognition(self, name: str, image: str, *more: tuple[str, str], charged: bool = False) -> Ask:
        """In each dialect in turn."""
        match self.dice.randrange(4):
            case 0:
                body: dict[str, object] = {"image": image}
                path, headers = "/captcha/recognition/image2text", self.bearer(*more)
            case 1:
                body = {"image": image, "type": 50200}
                path, headers = "/api/v1/captcha.php", (("x-api-key", self.key), *more)
            case 2:
                body = {"clientKey": self.key, "task": {"type": "ImageToTextTask", "body": image}}
                path, headers = "/createTask", more
            case _:
                body = {"image": image, "kind": "text"}
                path, headers = "/v1/recognitions", self.bearer(*more)
        return Ask(name, "POST", path, json.dumps(body).encode(), headers, charged)

    def good(self) -> Ask:
        return self.recognition("good text", self.text, charged=True)

    def _other_kinds(self) -> Iterator[Ask]:
        samples = ROOT / "src" / "legible" / "console" / "static" / "samples"
        for kind, question in QUESTIONS.items():
            for file in sorted(samples.glob(f"{kind}*.*"))[:2]:
                body = {"image": encoded(file.read_bytes()), "kind": kind, "options": question}
                yield Ask(kind, "POST", "/v1/recognitions", json.dumps(body).encode(), self.bearer(), True)

    def other_kind(self) -> Ask:
        return self.dice.choice(self.other)

    def task(self) -> Ask:
        body = json.dumps({"image": self.text, "async": True}).encode()
        return Ask("task", "POST", "/captcha/recognition/image2text", body, self.bearer(), True)

    def replay(self) -> Ask:
        ask = self.recognition("replay", self.text, ("idempotency-key", f"{uuid.uuid4()}"), charged=True)
        return Ask(ask.name, ask.method, ask.path, ask.body, ask.headers, charged=True, again=True)

    def wrong(self) -> Ask:
        path, good = "/v1/recognitions", json.dumps({"image": self.text, "kind": "text"}).encode()
        bodies = (
            b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"kind": "text"}', b'{"image": 7, "kind": "text"}',
            b'{"image": "%%%", "kind": "text"}', b'{"image": "aGVsbG8=", "kind": "text"}', b"[" * 5_000,
            b'{"image": "https://example.com/a.png", "kind": "text"}', b'{"kind": "smell", "image": "aGVs"}',
        )  # fmt: skip
        vendor = (("x-api-key", self.key),)
        asks = [Ask("wrong body", "POST", path, body, self.bearer()) for body in bodies]
        asks += [
            Ask("wrong key", "POST", path, good, (("authorization", "Bearer lg_" + "x" * 43),)),
            Ask("no key", "POST", path, good),
            Ask("wrong type", "POST", "/api/v1/captcha.php", b'{"image": "a", "type": 1}', vendor),
            Ask("wrong path", "POST", "/captcha/token/recaptcha2", b"{}", self.bearer()),
            Ask("wrong method", "DELETE", path, b"", self.bearer()),
            Ask("wrong content type", "POST", path, b"<image/>", self.bearer(("content-type", "text/xml"))),
            Ask("unknown task", "POST", "/captcha/tasks", b'{"task_id": "42"}', self.bearer()),
        ]
        return self.dice.choice(asks)

    def hostile_picture(self) -> Ask:
        return self.recognition("hostile picture", self.dice.choice(self.hostile))

    def large_picture(self) -> Ask:
        return self.recognition("large hostile picture", self.dice.choice(self.large))

    def huge(self) -> Ask:
        return Ask("huge", "POST", "/v1/recognitions", b"x" * (6 * 1024 * 1024 + 1000), self.bearer())

    def cut(self) -> Ask:
        ask = self.recognition("cut off", self.text)
        return Ask(ask.name, ask.method, ask.path, ask.body, ask.headers, cut=True)

    def page(self) -> Ask:
        return Ask("page", "GET", self.dice.choice(PAGES), b"", self.bearer())


@dataclass
class Soak:
    """What was sent and heard, and the memory at every thousandth call."""

    server: Server
    calls: int
    minutes: float
    mix: Iterator[Ask]
    made: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    charges: int = 0
    memory: list[tuple[int, float]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        place = urlsplit(self.server.url)
        self.host, self.port = str(place.hostname), int(place.port or 80)
        self.numbers = itertools.count(1)
        self.began = time.monotonic()
        self.until = self.began + 60 * self.minutes

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self.client())

    async def client(self) -> None:
        streams = await asyncio.open_connection(self.host, self.port)
        for ask in self.mix:
            number = next(self.numbers)
            if number > self.calls or time.monotonic() > self.until:
                break
            self.made = max(self.made, number)
            if number % SAMPLE_EVERY == 0:
                self.sample(number)
            try:
                alive = await asyncio.wait_for(self.ask(ask, *streams), PATIENCE_SECONDS)
            except (OSError, EOFError, TimeoutError) as error:
                alive = False
                if ask.name != "huge":  # the server hangs up on who sends far more than it takes
                    self.problems.append(f"{ask.name}: {error!r}")
            if not alive:
                streams[1].close()
                streams = await asyncio.open_connection(self.host, self.port)
        streams[1].close()

    def sample(self, number: int) -> None:
        self.memory.append((number, self.server.memory_mb))
        rate = number / (time.monotonic() - self.began)
        print(f"{number} calls, {rate:.0f}/s, {self.memory[-1][1]:.1f} MB", file=sys.stderr, flush=True)

    async def ask(self, ask: Ask, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Sends it and notes the reply; False when the connection is used up."""
        request = compose(ask)
        if ask.cut:
            writer.write(request[: -len(ask.body) // 2])
            await writer.drain()
            return False
        status, body, keep = await exchange(request, reader, writer)
        if ask.path == "/createTask" and not body.startswith(b'{"errorId":0,'):  # whose status is always 200
            status = 500 if body.startswith(b'{"errorId":2,') else 400
        self.statuses[ask.name, status] += 1
        if status == 200 and ask.charged:
            self.charges += 1
        if ask.name == "task" and status == 200:
            await self.poll(ask, json.loads(body)["task_id"], reader, writer)
        if ask.again and keep:
            again, other, keep = await exchange(request, reader, writer)
            if status == 200 and (again, other) != (status, body):
                self.problems.append(f"a replay differs: {again}")
        return keep

    async def poll(
        self, ask: Ask, task_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        body = json.dumps({"task_id": task_id}).encode()
        state = b""
        while b'"ready"' not in state:
            _, state, _ = await exchange(
                compose(Ask("poll", "POST", "/captcha/tasks", body, ask.headers)), reader, writer
            )
        if not json.loads(state)["success"]:
            self.charges -= 1

    def slope_mb(self) -> float:
        """Growth for each 10,000 calls after the warm-up, by least squares."""
        points = [(n / 10_000, mb) for n, mb in self.memory if n > WARM_UP_SHARE * self.made]
        middle = sum(n for n, _ in points) / len(points)
        spread = sum((n - middle) ** 2 for n, _ in points)
        return sum((n - middle) * mb for n, mb in points) / spread


def compose(ask: Ask) -> bytes:
    headers = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(ask.body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in (headers | dict(ask.headers)).items())
    return f"{ask.method} {ask.path} HTTP/1.1\r\n{head}\r\n".encode() + ask.body


async def exchange(
    request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection may be used again."""
    writer.write(request)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        body = await reader.readexactly(int(length or 0))
    return int(head[9:12]), body, b"connection: close" not in head


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=120, help="stop after so long, wherever it is")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [LEGIBLE, "serve", "--port", "0", "--data", folder]
        with running("Legible", command, folder):
            key = new_key(folder)
        with running("Legible", command, folder) as server:
            soak = Soak(server, arguments.calls, arguments.minutes, iter(Mix(key)))
            asyncio.run(soak.run())
            minutes = (time.monotonic() - soak.began) / 60
        failed = report(soak, folder, minutes)
    sys.exit(1 if failed else 0)


def report(soak: Soak, folder: Path, minutes: float) -> bool:
    """Prints what happened; whether a floor was missed."""
    checked = subprocess.run(
        [LEGIBLE, "ledger", "check", "--data", folder], capture_output=True, text=True, check=False
    )
    with sqlite3.connect(folder / "legible.db") as database:
        [charged] = database.execute("SELECT count(*) FROM entry WHERE kind = 'call'").fetchone()
    broken = sum(count for (_, status), count in soak.statuses.items() if status >= 500)
    slope, last = soak.slope_mb(), soak.memory[-1][1]
    print("| what | status | calls |\n|---|---:|---:|")
    for (name, status), count in sorted(soak.statuses.items()):
        print(f"| {name} | {status} | {count} |")
    print(
        f"\n{soak.made} calls in {minutes:.0f} minutes: {broken} with a status of 500 or more, memory "
        f"{last:.0f} MB at the end, slope {slope:+.2f} MB for each 10,000 calls after the first "
        f"{WARM_UP_SHARE:.0%}; {soak.charges} answers heard, {charged} charged. {checked.stdout.strip()}\n"
        f"{circumstances()}"
    )
    print("\n".join(soak.problems[:20]))
    return (
        broken > 0
        or slope >= SLOPE_FLOOR_MB
        or charged != soak.charges
        or checked.returncode != 0
        or bool(soak.problems)
    )


if __name__ == "__main__":
    main()
