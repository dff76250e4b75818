"""The compose file and the image describe what this repository has; no engine is needed to see it."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from worker.cli.main import build
from worker.configuration.settings import NAMES

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "coachsync:latest"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_stack_has_every_role() -> None:
    assert set(SERVICES) == {"valkey", "postgres", "migrate", "worker", "loops", "webhooks", "sandbox"}
    assert SERVICES["sandbox"]["profiles"] == ["sandbox"]


@pytest.mark.parametrize("name", OURS)
def test_each_command_of_ours_exists_with_its_options(name: str) -> None:
    program, *arguments = OURS[name]["command"]
    assert program == "coachsync"
    told = CliRunner().invoke(
        build(), [*(word for word in arguments if not word.startswith("-") and not word.isdigit()), "--help"]
    )
    assert told.exit_code == 0, told.output
    for option in (word for word in arguments if word.startswith("--")):
        assert option in told.output


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_only_for_services_that_are_there(name: str) -> None:
    awaited = SERVICES[name].get("depends_on", {})
    assert set(awaited) <= set(SERVICES)
    for other, condition in awaited.items() if isinstance(awaited, dict) else ():
        if condition["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_gets_settings_that_exist(name: str) -> None:
    known = {f"COACHSYNC_{setting.upper()}" for setting in NAMES.plain | NAMES.remote} | {
        "COACHSYNC_API_TOKEN",
        "COACHSYNC_WEBHOOK_KEY",
    }
    assert set(OURS[name]["environment"]) <= known


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_runs_with_as_little_as_it_needs(name: str) -> None:
    assert OURS[name]["read_only"]
    assert OURS[name]["cap_drop"] == ["ALL"]


def test_the_broker_keeps_its_queue_forgets_nothing_and_asks_for_a_password() -> None:
    words = " ".join(SERVICES["valkey"]["command"])
    assert "--appendonly yes" in words
    assert "--maxmemory-policy noeviction" in words
    assert "--requirepass" in words


def test_no_password_stands_in_the_file() -> None:
    for variable in ("POSTGRES_PASSWORD", "VALKEY_PASSWORD"):
        assert re.search(rf"\$\{{{variable}:\?", (ROOT / "docker-compose.yml").read_text())


def test_a_worker_has_time_to_end_its_chunk() -> None:
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) >= 30


def test_the_image_is_made_of_files_that_are_there() -> None:
    copied = [
        shlex.split(line)[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY") and "--from" not in line
    ]
    for source in (name for names in copied for name in names):
        assert (ROOT / source).exists(), source


def test_the_image_installs_by_hash_and_runs_as_nobody_special() -> None:
    installs = re.findall(r"pip install (.*?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
    assert len(installs) == 3
    assert all("--no-deps --require-hashes -r" in words or "--no-deps /tmp/wheel/" in words for words in installs)
    assert re.search(r"^USER (?!root)", DOCKERFILE, re.MULTILINE)


def test_docker_compose_accepts_the_file() -> None:
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("docker compose is not on this machine")
    checked = subprocess.run(
        ["docker", "compose", "--profile", "sandbox", "config", "--quiet"],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "POSTGRES_PASSWORD": "a", "VALKEY_PASSWORD": "b"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
