"""What the console is given by `app.py`, and the few things of its own that live as long as the process."""

from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment

from legible.accounts import Accounts
from legible.console.attempts import Attempts
from legible.console.statistics import DailyTallies
from legible.db.session import Database
from legible.engine import Engine
from legible.keys import KeyRing
from legible.prices import PriceList
from legible.settings import Settings


@dataclass(frozen=True)
class Console:
    """The parts that pages are made from."""

    settings: Settings
    database: Database
    accounts: Accounts
    keys: KeyRing
    prices: PriceList
    engine: Engine
    attempts: Attempts
    tallies: DailyTallies
    templates: Mapping[str, Environment]
