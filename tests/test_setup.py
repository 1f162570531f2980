import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
HELD = (ROOT / "constraints.txt").read_text("utf-8").splitlines()


def names(lines: list[str]) -> set[str]:
    found = [re.match(r"[A-Za-z0-9][\w.-]*", line) for line in lines]
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}


def test_every_requirement_of_the_service_and_of_its_tests_has_its_version_held():
    extras = PROJECT["optional-dependencies"]
    held = ("postgres", "redis", "ray", "otel", "audit", "test")
    required = PROJECT["dependencies"] + [each for extra in held for each in extras[extra]]
    assert names(required) - {"legible"} <= names(HELD)


def test_constraints_hold_exact_versions_and_name_no_address():
    assert [line for line in HELD if not re.fullmatch(r"#.*|[\w.-]+==[\w.+!]+", line)] == []


def test_every_file_of_the_package_is_installed_with_it():
    """An editable install, as ours for tests, shows nothing of what is left out."""
    package = ROOT / "src" / "legible"
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"][
        "package-data"
    ]
    installed = {path for pattern in patterns["legible"] for path in package.glob(pattern)}
    tracked = subprocess.run(
        ["git", "ls-files", package], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = {ROOT / name for name in tracked.stdout.splitlines()}
    assert len(files) > 100
    only_for_developers = {"babel.cfg"}
    assert [
        file for file in files - installed if file.suffix != ".py" and file.name not in only_for_developers
    ] == []


def test_serving_installs_neither_tests_nor_what_trains():
    assert names(PROJECT["dependencies"]).isdisjoint(
        {"pytest", "ruff", "mypy", "playwright", "torch", "onnx", "ray"}
    )


def test_make_alone_lists_what_there_is():
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("serve", "test", "lint", "fix", "migration", "bench", "faults", "audit", "sbom", "image"):
        assert f"make {target} " in listed


def test_bandit_finds_no_dangerous_habit():
    command = [sys.executable, "-m", "bandit", "--quiet", "--recursive", ROOT / "src"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_nobody_is_root_in_the_image():
    *_, last = (ROOT / "Dockerfile").read_text("utf-8").split("\nFROM ")
    assert re.search(r"^USER [1-9]\d+$", last, re.MULTILINE)
    assert "ENTRYPOINT" in last.partition("\nUSER ")[2]


def test_ci_runs_the_two_commands_that_people_run():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "make test" in script
    assert "make lint" in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
