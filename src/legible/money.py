"""Amounts as people write them; inside they are integer micros, millionths of a yuan."""

import re
from decimal import Decimal
from fractions import Fraction

MICROS = 1_000_000  # a yuan
LARGEST_YUAN = 10**9  # a thousand million: keeps every sum far inside 64 bits
LARGEST_MICROS = LARGEST_YUAN * MICROS
AMOUNT = re.compile(r"(\d{1,40}(\.\d{0,40})?|\.\d{1,40})(e\d{1,2})?", re.IGNORECASE)


def yuan(micros: int) -> str:
    """An amount as a decimal: 95500000 is "95.5"."""
    return f"{Decimal(micros).scaleb(-6).normalize():f}"


def parse_yuan(text: str, *, least_micros: int = 1) -> int | None:
    """Micros of a decimal amount, from `least_micros` to `LARGEST_MICROS` and no finer than a micro;
    None for all else."""
    if not AMOUNT.fullmatch(text.strip()):
        return None
    micros = Fraction(Decimal(text.strip())) * MICROS
    return int(micros) if micros.denominator == 1 and least_micros <= micros <= LARGEST_MICROS else None
