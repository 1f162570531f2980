"""How amounts, times and durations are shown to people."""

import re
from datetime import UTC, datetime, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from babel.dates import format_datetime
from markupsafe import Markup

from legible.console.i18n import locale
from legible.money import MICROS, parse_yuan

# A comma groups thousands: in "0,5" it is somebody's decimal mark.
TYPED = re.compile(r"(\d*|\d{1,3}(,\d{3})+)(\.\d*)?")
WHOLE = re.compile(r"\d+|\d{1,3}(,\d{3})+", re.ASCII)
FULL_WIDTH = str.maketrans("０１２３４５６７８９，", "0123456789,")


def money(micros: int | None) -> str:
    """Yuan with separators, at least two decimals and as many as the amount needs: "¥1,234.50", "−¥0.001"."""
    if micros is None:
        return "–"
    whole, rest = divmod(abs(micros), MICROS)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'−' if micros < 0 else ''}¥{whole:,}.{decimals}"


def parse_money(text: str) -> int | None:
    """Micros of a typed amount of yuan; None unless it is from 0 to the largest with at most six decimals."""
    # A Chinese keyboard types the wide sign.
    amount = text.strip().lstrip("¥￥").strip()
    if not TYPED.fullmatch(amount):
        return None
    return parse_yuan(amount.replace(",", ""), least_micros=0)


def parse_whole(text: str) -> int | None:
    """A whole number as people write it, full-width digits and separators of thousands too; else None."""
    plain = text.strip().translate(FULL_WIDTH)
    return int(plain.replace(",", "")) if len(plain) <= 18 and WHOLE.fullmatch(plain) else None


@cache
def zone_names() -> tuple[str, ...]:
    """The time zones that a user can choose."""
    return (
        "UTC",
        *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")),
    )


def zone(name: str | None) -> tzinfo:
    """The zone of that name, UTC where there is none."""
    try:
        return ZoneInfo(name) if name and name != "UTC" else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def moment(milliseconds: int) -> datetime:
    """The time of a row, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def time_tag(milliseconds: int | None, language: str, where: tzinfo) -> Markup:
    """A `<time>` in the user's zone, with UTC on hover."""
    if milliseconds is None:
        return Markup("–")
    utc = moment(milliseconds)
    shown = format_datetime(utc, "medium", tzinfo=where, locale=locale(language))
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        utc.isoformat(timespec="milliseconds"), utc.strftime("%Y-%m-%d %H:%M:%S UTC"), shown
    )


def milliseconds(value: float | None) -> str:
    """A duration: "12 ms", "1.53 s"."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.2f} s"


def percent(part: float, whole: float) -> str:
    """A share: "97.3%", and 100% only of what is whole; a dash when there is nothing to share."""
    if not whole:
        return "–"
    rounded = f"{100 * part / whole:.1f}%"
    return "99.9%" if rounded == "100.0%" and part < whole else rounded


def count(value: int) -> str:
    """A number with separators."""
    return f"{value:,}"


def number(value: float) -> str:
    """The same for what may be a fraction: "1,234,567", "0.5"."""
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def size(octets: int) -> str:
    """Of a file: "4.3 MiB", "38 KiB"."""
    return f"{octets / 2**20:.1f} MiB" if octets >= 2**20 else f"{octets / 2**10:.0f} KiB"
