from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from legible.settings import Settings, unknown_names

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"


def row(name: str, field: FieldInfo) -> str:
    default = str(field.default).lower() if isinstance(field.default, bool) else field.default
    shown = "" if default is None else f"`{default}`"
    return f"| `LEGIBLE_{name.upper()}` | {shown} | {field.description} |"


def test_the_settings_page_lists_every_setting_with_its_default_and_meaning():
    expected = [row(name, field) for name, field in Settings.model_fields.items()]
    written = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `LEGIBLE_")]
    assert written == expected, "docs/settings.md should read:\n" + "\n".join(expected)


def test_every_setting_says_in_a_sentence_what_it_does():
    assert [
        name for name, field in Settings.model_fields.items() if not (field.description or "").endswith(".")
    ] == []


def test_a_setting_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("LEGIBLE_PORT", "9001")
    assert Settings().port == 9001


def test_a_setting_out_of_its_range_is_refused(monkeypatch):
    monkeypatch.setenv("LEGIBLE_PORT", "70000")
    with pytest.raises(ValidationError, match="port"):
        Settings()


def test_without_a_database_url_the_database_is_sqlite_in_the_data_folder(tmp_path):
    assert Settings(data_dir=tmp_path).database == f"sqlite:///{tmp_path / 'legible.db'}"


def test_a_printed_setting_does_not_show_the_password_of_the_database():
    assert "hush" not in repr(Settings(database_url="postgresql://legible:hush@localhost/legible"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("127.0.0.1", "127.0.0.1/32"),
        ("10.0.0.1/8, ::1", "10.0.0.0/8,::1/128"),
        ("127.0.0.0/8", "127.0.0.0/8"),
    ],
)
def test_trusted_proxies_are_addresses_and_networks(given: str, meant: str) -> None:
    assert Settings(trusted_proxies=given).trusted_proxies == meant


@pytest.mark.parametrize("given", ["localhost", "127.0.0.1;10.0.0.1", "*", "", "10.0.0.0/40"])
def test_proxies_that_would_be_trusted_by_nobody_are_refused(given: str) -> None:
    with pytest.raises(ValidationError, match="addresses or networks, separated by commas"):
        Settings(trusted_proxies=given)


@pytest.mark.parametrize(
    ("name", "value"),
    [("recognition_timeout_seconds", "inf"), ("request_seconds", "nan"), ("free_quota_micros", 10**16)],
)
def test_a_number_without_end_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})


def test_a_level_may_be_written_in_capitals() -> None:
    assert Settings(log_level="WARNING").log_level == "warning"


def test_a_name_that_is_no_setting_is_told_with_the_nearest_one() -> None:
    told = unknown_names(["LEGIBLE_WORKER", "LEGIBLE_PORT", "LEGIBLE_NOPE_NOPE", "PATH"])
    assert told == [
        "LEGIBLE_NOPE_NOPE is no setting, and has no effect",
        "LEGIBLE_WORKER is no setting, and has no effect; is LEGIBLE_WORKERS meant?",
    ]
