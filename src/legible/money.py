"""Amounts as people write them; inside they are integer micros, millionths of a yuan."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction

MICROS = 1_000_000  # a yuan


def yuan(micros: int) -> str:
    """An amount as a decimal: 95500000 is "95.5"."""
    return f"{Decimal(micros).scaleb(-6).normalize():f}"


def parse_yuan(text: str, *, most_micros: int, least_micros: int = 1) -> int | None:
    """Micros of a decimal amount, from `least_micros` to `most_micros` and no finer than a micro;
    None for all else."""
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        return None
    # Compared before it becomes a fraction, since "1e999999999" is a short way to write a long number.
    least, most = Decimal(least_micros).scaleb(-6), Decimal(most_micros).scaleb(-6)
    if "_" in text or not amount.is_finite() or not least <= amount <= most:
        return None
    micros = Fraction(amount) * MICROS
    return int(micros) if micros.denominator == 1 else None
