"""Every knob of the service, with a default that works on a laptop. Environment: `LEGIBLE_<NAME>`."""

from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from legible.money import LARGEST_MICROS
from legible.tasks import ImageLimits

MAX_RATE = 1_000_000  # calls a second, of an account or a key
PREFIX = "LEGIBLE_"


class Settings(BaseSettings):
    """`docs/settings.md` lists them all; a test compares the two."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    data_dir: Path = Field(Path("data"), description="Folder for the SQLite database and other files.")
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL or SQLite URL; without it, SQLite in the data folder."
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis for rate limits that several servers share; without it, each counts for itself.",
    )
    engine: Literal["local", "ray"] = Field(
        "local", description="Where recognizers run: in this process, or on Ray."
    )
    workers: int = Field(0, ge=0, le=256, description="Threads that recognize; 0 takes one for each core.")
    queue_limit: int = Field(256, ge=1, description="Recognitions that may wait before new ones are refused.")
    ray_min_replicas: int = Field(
        1, ge=1, le=1000, description="With Ray: recognizer processes of a kind that are there always."
    )
    ray_max_replicas: int = Field(
        100, ge=1, le=1000, description="With Ray: most recognizer processes of a kind."
    )
    recognition_timeout_seconds: float = Field(
        20, gt=0, allow_inf_nan=False, description="Longest time one recognition may take."
    )

    max_connections: int = Field(
        1000, ge=16, description="Most connections at a time; then whoever has not asked yet makes room."
    )
    request_seconds: float = Field(
        30, gt=0, allow_inf_nan=False, description="Longest time a request may take to arrive."
    )
    max_body_bytes: int = Field(6 * 1024 * 1024, ge=1024, description="Largest request body.")
    max_image_bytes: int = Field(4 * 1024 * 1024, ge=1024, description="Largest image after base64 decoding.")
    max_image_side: int = Field(4096, ge=16, description="Longest side of an image, in pixels.")
    max_image_pixels: int = Field(8_000_000, ge=256, description="Most pixels of an image.")
    max_queries: int = Field(16, ge=1, le=16, description="Most images in one request, up to 16.")

    rate_per_second: int = Field(
        10,
        ge=0,
        description="Calls a second of all keys of an account together, by default; 0 is no limit.",
    )
    free_quota_micros: int = Field(
        1_000_000,
        ge=0,
        le=LARGEST_MICROS,
        description="Credit that a new account gets, in millionths of a yuan (1000000 is ¥1).",
    )
    sign_up: bool = Field(True, description="Whether strangers may make an account in the console.")
    image_days: int = Field(
        7, ge=1, le=3650, description="Days that images are kept for accounts that switched keeping on."
    )
    key_cache_seconds: float = Field(
        0.5,
        ge=0,
        le=0.9,
        description="How long a looked-up key is trusted; a revocation is felt within this time.",
    )
    group_commit_size: int = Field(
        256, ge=1, le=10_000, description="Most calls that one transaction commits."
    )
    reply_retention_hours: int = Field(
        24, ge=1, description="How long replies are kept for replay and polling."
    )
    captchaapi_always_200: bool = Field(
        False,
        description="Answer captcha.php with HTTP status 200 always, for clients that look only at the code.",
    )
    trusted_proxies: str = Field(
        "127.0.0.1",
        description="Addresses or networks, separated by commas, whose X-Forwarded-For header is believed.",
    )
    otlp_url: str | None = Field(
        None,
        description="OpenTelemetry collector that gets a span for each request, "
        "like http://127.0.0.1:4318/v1/traces; needs the extra `otel`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        """As uvicorn knows them, which passes over whatever is neither an address nor a network."""
        try:
            return ",".join(str(ip_network(part.strip(), strict=False)) for part in value.split(","))
        except ValueError as error:
            raise ValueError(f"{error}; allowed: addresses or networks, separated by commas") from None

    @field_validator("log_level", mode="before")
    @classmethod
    def _small(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the database."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        # Imported here, so that a command that needs no database starts without SQLAlchemy.
        from sqlalchemy import URL

        file = (self.data_dir / "legible.db").resolve()
        return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)

    @property
    def image_limits(self) -> ImageLimits:
        return ImageLimits(self.max_image_bytes, self.max_image_side, self.max_image_pixels)


def unknown_names(environment: Iterable[str]) -> list[str]:
    """A sentence for each name that looks like one of ours and is none."""
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    found = sorted(name for name in environment if name.startswith(PREFIX) and name.upper() not in known)
    return [
        f"{name} is no setting, and has no effect"
        + "".join(f"; is {close} meant?" for close in get_close_matches(name, known, 1, 0.8))
        for name in found
    ]
