"""A client that costs little: raw HTTP/1.1 over kept connections.

`load.py` starts it, asks on standard input in JSON (url, key, image, clients, seconds), and reads the seconds
and the milliseconds of every call from standard output.
"""

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

import uvloop


async def main() -> None:
    asked = json.loads(sys.stdin.read())
    request = compose(asked["url"], asked["key"], asked["image"])
    place = urlsplit(asked["url"])
    milliseconds: list[float] = []
    began = time.perf_counter()
    until = began + asked["seconds"]
    async with asyncio.TaskGroup() as group:
        for _ in range(asked["clients"]):
            group.create_task(ask(str(place.hostname), int(place.port or 80), request, until, milliseconds))
    print(json.dumps({"seconds": time.perf_counter() - began, "milliseconds": milliseconds}))


def compose(url: str, key: str, image: str) -> bytes:
    place = urlsplit(url)
    body = json.dumps({"image": image})
    return (
        f"POST {place.path} HTTP/1.1\r\nhost: {place.netloc}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def ask(host: str, port: int, request: bytes, until: float, milliseconds: list[float]) -> None:
    """One call after the other on one connection; anything but a 200 ends the measurement."""
    reader, writer = await asyncio.open_connection(host, port)
    while (began := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(body.decode())
        milliseconds.append(1000 * (time.perf_counter() - began))
    writer.close()


if __name__ == "__main__":
    uvloop.run(main())
