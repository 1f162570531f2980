"""HTTP/1.1 as uvicorn speaks it, except that an offer to go on in HTTP/2 is passed over."""

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

OFFER = re.compile(rb"\r\nupgrade:(?=[ \t]*h2c[ \t]*\r\n)", re.IGNORECASE)


class Http1(HttpToolsProtocol):
    """Java's client and `curl --http2` offer it with each call over plain HTTP, and a server may ignore that
    (RFC 9110, 7.8). httptools instead takes the body for the other protocol, and the call arrives without it.
    Under another name of the same length, the offer is a header like any other."""

    def data_received(self, data: bytes) -> None:
        super().data_received(OFFER.sub(b"\r\nx-offer:", data) if b"h2c" in data else data)
