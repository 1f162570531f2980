"""HTTP/1.1 as uvicorn speaks it, except for offers to go on in another protocol, which are passed over, and
for callers who say that they have said all."""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

OFFER = re.compile(rb"\nupgrade:", re.IGNORECASE)
# What the next bytes may make an offer of.
BEGUN = re.compile(rb"\n(u(p(g(r(a(d(e)?)?)?)?)?)?)?\Z", re.IGNORECASE)


class Http1(HttpToolsProtocol):
    """Java's clients and `curl --http2` offer HTTP/2 or TLS with each call over plain HTTP, and a server may
    ignore that (RFC 9110, 7.8). httptools instead takes the body for the other protocol, and the call arrives
    without it. Under another name of the same length, the offer is a header like any other."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.is_in_body = False
        self.begun = b""  # the line that is not complete, while it may become an offer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A socket for both versions of IP shows an address of the old one as one of the new
        # (RFC 4291, 2.5.5.2).
        if self.client is not None:
            self.client = self.client[0].removeprefix("::ffff:"), self.client[1]

    def data_received(self, data: bytes) -> None:
        if self.is_in_body:
            super().data_received(data)
            return
        fed = len(self.begun[:1])  # its line break went on before
        head, end, body = (self.begun + data).partition(b"\n\r\n")
        head = OFFER.sub(b"\nx-offer:", head)
        begun = None if end else BEGUN.search(head)
        self.begun = begun.group() if begun else b""
        held = len(self.begun[1:])
        super().data_received((head[: len(head) - held] + end + body)[fed:])

    def on_headers_complete(self) -> None:
        self.is_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.is_in_body = False
        super().on_message_complete()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """True, to go on writing, for a caller who is only done with writing: what was asked is answered."""
        cycle = self.pipeline[0][0] if self.pipeline else self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True
