"""What deploy/ holds is accepted by the tools that read it, and names nothing that is not there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from legible.settings import Settings
from tests.deploy.conftest import DEPLOY, ROOT
from tests.servers import missing

UNITS = sorted(
    path for path in (DEPLOY / "systemd").iterdir() if path.suffix in (".service", ".socket", ".timer")
)
COMPOSE = DEPLOY / "compose" / "compose.yaml"
PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")
# What a service that faces strangers must not have.
HARDENED = (
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "CapabilityBoundingSet=\n",
    "User=legible",
)


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    systemd = shutil.which("systemd-analyze") or missing("systemd-analyze")
    shutil.copytree(DEPLOY / "systemd", tmp_path / "units")
    written = []
    for unit in UNITS:
        text = unit.read_text("utf-8")
        # The programs are not installed there on this machine.
        text = re.sub(r"/opt/legible/bin/\w+", sys.executable, text)
        written.append(tmp_path / "units" / unit.name.replace("@", "@8001"))
        for path in (written[-1], tmp_path / "units" / unit.name):
            path.write_text(text, "utf-8")
    done = subprocess.run([systemd, "verify", *map(str, written)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name
)
def test_a_service_runs_without_rights_that_it_does_not_need(unit: Path) -> None:
    text = unit.read_text("utf-8")
    assert [line for line in HARDENED if line not in text] == []


def test_the_compose_file_fits_its_schema() -> None:
    compose = compose_command()
    done = subprocess.run(
        [*compose, "-f", str(COMPOSE), "config", "-q"],
        capture_output=True,
        text=True,
        env=os.environ | {"POSTGRES_PASSWORD": "secret"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def compose_command() -> list[str]:
    """Docker's own, without an engine; where it is missing, the older one that Debian has."""
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        return [docker, "compose"]
    return [shutil.which("docker-compose") or missing("docker-compose")]


def test_the_compose_file_starts_nothing_without_a_password() -> None:
    assert COMPOSE.read_text("utf-8").count("${POSTGRES_PASSWORD:?") == 2


def test_replicas_of_the_compose_file_are_those_that_nginx_knows_and_have_no_rights() -> None:
    services = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
    upstream = (COMPOSE.parent / "upstream.conf").read_text("utf-8")
    known = set(re.findall(r"server ([\w-]+):8000", upstream))
    assert known == {name for name, each in services.items() if each.get("command", [""])[0] == "serve"}
    for name in known:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["read_only"]
        assert name in services["nginx"]["depends_on"]
    for volume in services["nginx"]["volumes"]:
        path = COMPOSE.parent / volume.split(":")[0]
        assert path.exists() or path.name in ("tls", "acme")


def test_every_setting_that_the_files_name_is_one() -> None:
    known = {f"LEGIBLE_{name.upper()}" for name in Settings.model_fields}
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            named = set(re.findall(r"\bLEGIBLE_[A-Z_]+\b", path.read_text("utf-8")))
            assert named <= known, path


def test_the_page_names_every_file() -> None:
    files = [str(path.relative_to(ROOT)) for path in DEPLOY.rglob("*") if path.is_file()]
    assert [name for name in files if name not in PAGE] == []


def test_the_limits_of_nginx_are_above_those_of_the_service() -> None:
    site = (DEPLOY / "nginx" / "legible.conf").read_text("utf-8")
    megabytes = re.search(r"client_max_body_size (\d+)m;", site)
    seconds = re.search(r"proxy_read_timeout (\d+)s;", site)
    assert megabytes
    assert seconds
    assert int(megabytes[1]) * 1024 * 1024 > Settings.model_fields["max_body_bytes"].default
    assert int(seconds[1]) > Settings.model_fields["recognition_timeout_seconds"].default
