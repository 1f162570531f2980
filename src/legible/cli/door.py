"""Who comes in and says nothing gives way: a request arrives in time, or its connection is closed."""

import asyncio
import resource
from typing import Any

from legible.cli.http1 import Http1

MAX_HEAD_BYTES = 65_536
OWN_FILES = 128  # descriptors that the database, the models and the logs may need

TOO_SLOW, TOO_MANY, TOO_LONG = "408 Request Timeout", "503 Service Unavailable", "431 Header Fields Too Large"


class Door:
    """The connections of one server. `waiting` are those whose request is not complete, oldest first."""

    def __init__(self, max_connections: int, request_seconds: float) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.most = min(max_connections, max(OWN_FILES, files - OWN_FILES))
        self.request_seconds = request_seconds
        self.waiting: dict[GuardedHttp1, asyncio.TimerHandle] = {}

    def wait(self, connection: "GuardedHttp1") -> None:
        """From now on, a whole request is expected."""
        self.done(connection)
        timer = connection.loop.call_later(self.request_seconds, connection.turn_out, TOO_SLOW)
        self.waiting[connection] = timer

    def done(self, connection: "GuardedHttp1") -> None:
        timer = self.waiting.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def make_room(self) -> None:
        """The one who has waited longest goes: a good caller has asked long before."""
        if self.waiting:
            next(iter(self.waiting)).turn_out(TOO_MANY)


class GuardedHttp1(Http1):
    """uvicorn closes connections that are idle between two requests, but lets one drip in for ever, with
    headers without end; and it takes connections until there are no file descriptors left."""

    def __init__(self, door: Door, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.door = door
        self.is_in_head, self.has_begun, self.head_bytes = True, False, 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self.door.most:
            self.door.make_room()
        super().connection_made(transport)
        self.door.wait(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.door.done(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.is_in_head:
            self.head_bytes += len(data)
            if self.head_bytes > MAX_HEAD_BYTES:
                self.turn_out(TOO_LONG)

    def on_message_begin(self) -> None:
        self.is_in_head, self.has_begun, self.head_bytes = True, True, 0
        self.door.wait(self)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.has_begun = False
        self.door.done(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and not self.pipeline:
            self.door.wait(self)

    def turn_out(self, status: str) -> None:
        """Closes the connection, with a word when a request was begun and not yet answered."""
        self.door.done(self)
        if self.transport.is_closing():
            return
        is_answering = self.cycle is not None and not self.is_in_head and self.cycle.response_started
        if self.has_begun and not is_answering:
            self.transport.write(
                f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode()
            )
        self.transport.close()
