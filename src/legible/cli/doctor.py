"""`legible doctor`: whether this installation can work, and what to do where it cannot."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from legible.cli.common import (
    Data,
    DatabaseUrl,
    Failure,
    Found,
    Json,
    how_to_install,
    is_there,
    print_json,
    print_table,
    settings,
)
from legible.errors import Refusal, Unavailable
from legible.settings import Settings, unknown_names

ENOUGH_BYTES = 500 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; when it is not `ok`, `says` tells what to do."""

    what: str
    ok: bool
    says: str


def doctor(data: Data = None, database: DatabaseUrl = None, as_json: Json = False) -> None:
    """Check this installation and its settings, and say what is wrong. Changes nothing."""
    findings = list(examine(settings(data, database)))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ["", "what", "found"],
            [("ok" if each.ok else "WRONG", each.what, each.says) for each in findings],
            empty="",
        )
    wrong = [each.what for each in findings if not each.ok]
    if wrong:
        raise Found(f"Not in order: {', '.join(wrong)}.")


def examine(chosen: Settings) -> Iterator[Finding]:
    """Everything that can be checked without changing anything."""
    yield Finding(
        "version", True, f"Legible {version('legible')}, Python {platform.python_version()}, {machine()}"
    )
    for sentence in unknown_names(os.environ):
        yield Finding("settings", False, sentence)
    yield from _models()
    if chosen.database.startswith("sqlite"):
        yield _data_folder(chosen.data_dir)
    yield _checked("database", lambda: _database(chosen))
    if chosen.redis_url is not None:
        redis_url = chosen.redis_url.get_secret_value()
        yield _checked("redis", lambda: _redis(redis_url))
    if chosen.engine == "ray":
        yield _checked("engine", _ray)


def machine(processors: Path = Path("/proc/cpuinfo")) -> str:
    from legible.model_store import has_vnni

    name = f"{os.cpu_count()} cores, {platform.machine()}"
    if platform.machine() == "x86_64" and processors.exists() and not has_vnni(processors):
        name += " without VNNI, on which the 8-bit networks take several times as long"
    return name


def _checked(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, check())
    except (Failure, Refusal) as refusal:
        return Finding(what, False, str(refusal))


def _models() -> Iterator[Finding]:
    from legible import model_store

    names = model_store.model_files()
    if not names:
        yield Finding("models", False, "models.toml names no model; install Legible again")
    for name in names:
        try:
            model = model_store.load(name)
            yield Finding(f"model {name}", True, f"weights {model.version}, checked by SHA-256")
        # ONNX Runtime raises classes of its own, and the other models are to be looked at too.
        except Exception as error:
            yield Finding(f"model {name}", False, f"{error}; install Legible again")


def _data_folder(folder: Path) -> Finding:
    try:
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if is_there(path))
    except Failure as failure:
        return Finding("data folder", False, str(failure))
    if not os.access(there, os.W_OK) or not there.is_dir():
        return Finding(
            "data folder", False, f"{there} cannot be written by this user; choose another with --data"
        )
    free = shutil.disk_usage(there).free
    says = f"{folder.absolute()}, {free // 1024**2} MiB free"
    if free < ENOUGH_BYTES:
        return Finding("data folder", False, f"{says}; make room: a full disk refuses every call")
    return Finding("data folder", True, says)


def _database(chosen: Settings) -> str:
    from sqlalchemy.exc import DBAPIError

    from legible.db.session import Database, database_url, place

    try:
        url = database_url(chosen.database)
    except ValueError as error:
        raise Failure(str(error)) from None
    shown = place(url)
    if url.get_backend_name() == "sqlite" and not is_there(Path(str(url.database))):
        return f"{shown}, not made yet; `legible serve` makes it"
    if url.get_backend_name() == "postgresql" and find_spec("psycopg") is None:
        raise Failure(f"the driver is missing; {how_to_install('postgres')}")
    database = Database(chosen.database)
    try:
        if not database.serves():
            state = "has no tables yet" if database.is_new() else "is from an older version"
            raise Failure(f"{shown} {state}; run `legible db upgrade`")
    except Unavailable as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        raise Failure(f"{shown} does not answer: {cause}; check LEGIBLE_DATABASE_URL") from None
    except DBAPIError as error:
        cause = str(error.orig or error).splitlines()[0]
        raise Failure(f"{shown} cannot be read: {cause}; restore a backup (docs/deploy.md)") from None
    finally:
        database.close()
    return f"{shown}, schema up to date"


def _ray() -> str:
    if find_spec("ray") is None:
        raise Failure(f"Ray is missing; {how_to_install('ray')}")
    from legible.engine import ray

    try:
        ray.connect()
    except ray.Unfit as unfit:
        raise Failure(str(unfit)) from None
    return "a Ray cluster that asks for a token, on private addresses"


def _redis(url: str) -> str:
    if find_spec("redis") is None:
        raise Failure(f"the client is missing; {how_to_install('redis')}")
    from redis import Redis, RedisError

    try:
        with Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2) as client:
            return f"Redis {client.info('server')['redis_version']} answers"
    except (RedisError, ValueError, OSError) as error:
        raise Failure(f"Redis does not answer ({error}); check LEGIBLE_REDIS_URL") from None
