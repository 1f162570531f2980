import platform

import pytest

from legible.cli.doctor import machine
from tests.commands import Legible


def test_it_looks_at_weights_folder_and_database(bare: Legible) -> None:
    ran = bare("doctor", "--json")
    found = {finding["what"]: finding for finding in ran.json}
    assert {"version", "data folder", "database"} <= set(found)
    assert ran.code == (0 if all(finding["ok"] for finding in ran.json) else 1)


def test_it_changes_nothing(bare: Legible, tmp_path) -> None:
    bare("doctor")
    assert list(tmp_path.iterdir()) == []


# Ray asks pydantic for what it will no longer give.
@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on:DeprecationWarning")
@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"LEGIBLE_DATABASE_URL": "postgresql://127.0.0.1:1/nowhere"}, "database"),
        ({"LEGIBLE_REDIS_URL": "redis://127.0.0.1:1/0"}, "redis"),
        ({"LEGIBLE_DATA_DIR": "/proc/nowhere"}, "data folder"),
        ({"LEGIBLE_ENGINE": "ray"}, "engine"),
    ],
)
def test_it_names_what_is_wrong(bare: Legible, settings, what) -> None:
    ran = bare("doctor", "--json", **settings)
    wrong = {finding["what"] for finding in ran.json if not finding["ok"]}
    assert what in wrong
    assert ran.code == 1
    assert what in ran.err


def test_why_a_database_does_not_answer_is_told_without_its_password(bare: Legible) -> None:
    ran = bare("doctor", "--json", LEGIBLE_DATABASE_URL="postgresql://legible:secret@127.0.0.1:1/nowhere")
    says = next(finding["says"] for finding in ran.json if finding["what"] == "database")
    assert "127.0.0.1" in says
    assert "refused" in says
    assert "LEGIBLE_DATABASE_URL" in says
    assert "secret" not in says
    assert "data folder" not in {finding["what"] for finding in ran.json}


def test_a_file_that_is_no_database_is_told_beside_the_rest(bare: Legible, tmp_path) -> None:
    (tmp_path / "legible.db").write_bytes(bytes(range(256)) * 32)
    ran = bare("doctor", "--json", "--data", tmp_path)
    found = {finding["what"]: finding for finding in ran.json}
    assert (ran.code, found["data folder"]["ok"], found["database"]["ok"]) == (1, True, False)
    assert "file is not a database" in found["database"]["says"]


def test_redis_that_answers_is_in_order(bare: Legible, redis_url) -> None:
    ran = bare("doctor", "--json", LEGIBLE_REDIS_URL=redis_url)
    assert [finding["ok"] for finding in ran.json if finding["what"] == "redis"] == [True]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="VNNI is of x86 processors")
@pytest.mark.parametrize(
    ("flags", "is_told"), [("avx2 fma", True), ("avx2 avx512_vnni", False), ("avx_vnni", False)]
)
def test_a_processor_that_is_slow_with_8_bit_networks_is_told(tmp_path, flags, is_told):
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {flags}\n")
    assert ("without VNNI" in machine(tmp_path / "cpuinfo")) == is_told
