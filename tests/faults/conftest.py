"""How long the faults last, and the table of what was measured.

Short by default, as CI runs them. The figures of docs/reliability.md: `make faults`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from legible.accounts import Accounts
from legible.db.session import Database
from legible.keys import KeyRing, KeyRules

CREDIT_MICROS = 10**9
FIGURES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, help="how often a process is killed (default: 2)")
    parser.addoption("--connections", type=int, help="how many connections never finish (default: 2000)")


@dataclass(frozen=True)
class Extent:
    """How much of it: pytest knows the options only when it was asked for this folder."""

    rounds: int
    connections: int


@pytest.fixture(scope="session")
def extent(pytestconfig: pytest.Config) -> Extent:
    return Extent(
        pytestconfig.getoption("rounds", None) or 2, pytestconfig.getoption("connections", None) or 2000
    )


Note = Callable[[str], None]


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Keeps a sentence of figures for the table at the end."""
    figures = request.config.stash.setdefault(FIGURES, [])
    return lambda sentence: figures.append(f"| `{request.node.name}` | {sentence} |")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)


def account_with_key(database: Database, rate_per_second: int = 0) -> str:
    """The key of an account that the load cannot empty."""
    account = Accounts(database, CREDIT_MICROS).create("ana@example.com")
    return KeyRing(database, 0).create(account.id, "load", KeyRules(rate_per_second=rate_per_second)).secret


@pytest.fixture
def key(database: Database) -> Iterator[str]:
    return account_with_key(database)
