"""`legible serve`: the service, and on its first run an administrator, a key and a curl line to paste."""

import asyncio
import logging
import os
import secrets
import shlex
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from legible import memory
from legible.cli.common import Data, DatabaseUrl, Failure, how_to_install, open_database, settings
from legible.money import yuan
from legible.settings import Settings, unknown_names

if TYPE_CHECKING:
    import uvicorn

    from legible.app import Parts

ADMINISTRATOR = "admin@localhost"
TEXT_TYPE = 50200
LAST_REQUESTS_SECONDS = 0.3
RAY_SECONDS = 60  # it gives up by itself after 20 to 30, mostly
FIRST_INHERITED = 3  # by sd_listen_fds(3)
SAMPLE_PICTURE = Path(str(files("legible"))) / "samples" / "text.png"


def serve(
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="H", help="Address to listen on.", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="P",
            min=0,
            max=65535,
            help="Port to listen on; 0 takes a free one.",
            show_default="8000",
        ),
    ] = None,
    data: Data = None,
    database: DatabaseUrl = None,
    redis: Annotated[
        str | None,
        typer.Option(
            "--redis",
            metavar="URL",
            help="Redis, for rate limits shared by several servers.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"] | None,
        typer.Option(
            "--engine", help="Where recognizers run: in this process, or on Ray.", show_default="local"
        ),
    ] = None,
) -> None:
    """Run the service until it is stopped with Ctrl-C or SIGTERM, which lets running calls finish."""
    chosen = settings(data, database, host=host, port=port, redis_url=redis, engine=engine)
    for sentence in unknown_names(os.environ):
        print(f"legible: {sentence}", file=sys.stderr)
    _check_connections(chosen)
    if chosen.engine == "ray":
        _connect_to_ray()
    memory.give_large_blocks_back()
    listener = _listen(chosen.host, chosen.port)
    with open_database(data, database, create=True):
        pass  # the schema is up to date now
    # A stop that was asked for is a success: uvicorn finishes what runs, then hands the signal on to us.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    with listener:
        server = _server(chosen, _url(listener))
        server.run(sockets=[listener])
    if not server.started:
        raise Failure("The service could not start; the lines above say why.")


def _check_connections(chosen: Settings) -> None:
    """What can be said of them before anything is made: the packages are there, and a URL is one."""
    if chosen.otlp_url is not None:
        try:
            import legible.tracing  # noqa: F401
        except ModuleNotFoundError as error:
            raise Failure(
                f"LEGIBLE_OTLP_URL needs the package {error.name}: {how_to_install('otel')}."
            ) from None
    if chosen.redis_url is None:
        return
    if find_spec("redis") is None:
        raise Failure(f"--redis needs the package redis: {how_to_install('redis')}.")
    from redis import Redis

    try:
        Redis.from_url(chosen.redis_url.get_secret_value()).close()
    except ValueError:  # its words may hold a part of the password
        raise Failure(
            "The setting redis_url (LEGIBLE_REDIS_URL) is wrong: it must be like "
            "redis://user:password@host:6379/0, with / and @ in the password written as %2F and %40."
        ) from None


def _connect_to_ray() -> None:
    try:
        from legible.engine import ray
    except ModuleNotFoundError as error:
        raise Failure(f"--engine ray needs the package {error.name}: {how_to_install('ray')}.") from None
    patience = threading.Timer(RAY_SECONDS, _give_up)
    patience.daemon = True
    patience.start()
    try:
        ray.connect()
    except ray.Unfit as unfit:
        raise Failure(str(unfit)) from None
    finally:
        patience.cancel()


def _give_up() -> None:
    """Ray may wait without end for a cluster that does not answer, in code that hears no signal."""
    print(
        f"legible: Ray did not answer within {RAY_SECONDS} seconds: see with `ray status` whether this "
        "machine is in a cluster, and whether this server has the same token (docs/deploy.md).",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _listen(host: str, port: int) -> socket.socket:
    """Bound here and not by uvicorn, so that a port that is taken is a sentence, before anything is made."""
    if inherited := _inherited():
        return inherited
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # "::" is every address, those of IPv4 among them.
    dual = host == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=dual)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise Failure(
            f"Cannot listen on {host} port {port} ({reason}): choose another with --host and --port."
        ) from None


def _inherited() -> socket.socket | None:
    """The one that systemd holds for us, so that connections wait in it while we are started again."""
    for_us = os.environ.pop("LISTEN_PID", None) == str(os.getpid())
    return socket.socket(fileno=FIRST_INHERITED) if for_us and os.environ.get("LISTEN_FDS") == "1" else None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    # Not bound, only shown: every address means this one too.
    if host in ("0.0.0.0", "::"):  # noqa: S104  # nosec B104
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(chosen: Settings, url: str) -> "uvicorn.Server":
    # Imported here, so that the other commands start without a web framework.
    import uvicorn

    from legible.app import build_app
    from legible.cli.door import Door, GuardedHttp1

    app = build_app(chosen)
    # We say ourselves that the service is there, and where.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                memory.settle()
                await asyncio.to_thread(_greet, app.state.parts, url)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Who was let in a moment ago is still about to ask, and uvicorn would hang up on him.
            for server in self.servers:
                server.close()
            await asyncio.sleep(LAST_REQUESTS_SECONDS)
            await super().shutdown(sockets)
            if app.state.parts.journal.is_stuck or app.state.parts.database.is_stuck:
                # Threads that wait for a database which hangs would hold the process for as long.
                os._exit(1)

    config = uvicorn.Config(
        app,
        http=partial(GuardedHttp1, Door(chosen.max_connections, chosen.request_seconds)),  # type: ignore[arg-type]
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=chosen.trusted_proxies,
        timeout_graceful_shutdown=int(chosen.recognition_timeout_seconds) + 1,
    )
    return Server(config)


@dataclass(frozen=True, slots=True)
class _FirstAccount:
    email: str
    password: str
    key: str
    balance_micros: int


def _greet(parts: "Parts", url: str) -> None:
    first = _first_account(parts)
    welcome = "" if first is None else _welcome(first, _text_price(parts), url)
    print(f"Legible is ready at {url}\n{welcome}", end="", flush=True)


def _first_account(parts: "Parts") -> _FirstAccount | None:
    """An administrator with a key, when there is no account at all."""
    from legible.errors import InvalidField

    if parts.accounts.list():
        return None
    password = secrets.token_urlsafe(12)
    try:
        account = parts.accounts.create(ADMINISTRATOR, password, is_admin=True)
    except InvalidField:
        return None  # another server on the same empty database was faster, and has shown its own
    key = parts.keys.create(account.id, "first key")
    return _FirstAccount(account.email, password, key.secret, account.balance_micros)


def _text_price(parts: "Parts") -> int:
    return next((row.price_micros for row in parts.prices.rows() if row.id == TEXT_TYPE), 0)


def _welcome(first: _FirstAccount, price_micros: int, url: str) -> str:
    return f"""
  Administrator  {first.email}
  Password       {first.password}
  API key        {first.key}
  Balance        ¥{yuan(first.balance_micros)}; a text that is read costs ¥{yuan(price_micros)}

This is shown once: keep it. Read the sample picture, or your own in its place, from another terminal:

{curl_line(first.key, url)}

Reference: {url}/docs
"""


def curl_line(key: str, url: str) -> str:
    """For any POSIX shell, on Linux and macOS; `-d @-` drops the line breaks of base64 and takes any size."""
    sample = f"base64 < {shlex.quote(str(SAMPLE_PICTURE))}"
    # Set by our image and by Podman: a container's files are not those of the terminal that pastes the line.
    if "container" in os.environ:
        sample = f"curl -sS --noproxy '*' {url}/static/samples/text-1.png | base64"
    return (
        f"""(printf '{{"image": "'; {sample}; printf '"}}') | """
        f"""curl -sS --noproxy '*' {url}/captcha/recognition/image2text -H 'authorization: Bearer {key}' """
        """-H 'content-type: application/json' -d @-"""
    )
