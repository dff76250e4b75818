"""The compose file and the image describe what this repository has; no engine is needed to see it."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from worker.cli.main import build
from worker.configuration.settings import NAMES, load_settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "coachsync:latest"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STANDING = [name for name, service in SERVICES.items() if not service.get("healthcheck", {}).get("disable")]


def test_the_file_is_what_the_compose_specification_takes() -> None:
    vendored = resources.files("check_jsonschema.builtin_schemas") / "vendor" / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(vendored.read_text()))


def test_the_stack_has_every_role_and_what_is_for_trials_or_eyes_has_to_be_asked_for() -> None:
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert {name for name, asked in profiles.items() if not asked} == {
        "valkey",
        "postgres",
        "migrate",
        "worker",
        "loops",
        "webhooks",
        "gateway",
    }
    assert {name for name, asked in profiles.items() if asked == ["sandbox"]} == {
        "sandbox",
        "sandbox-worker",
        "sandbox-loops",
    }
    assert {name for name, asked in profiles.items() if asked == ["observability"]} == {"prometheus", "grafana"}


@pytest.mark.parametrize("part", ["command", "healthcheck"])
@pytest.mark.parametrize("name", OURS)
def test_each_command_of_ours_exists_with_its_options(name: str, part: str) -> None:
    words = OURS[name]["command"] if part == "command" else OURS[name]["healthcheck"].get("test", ["CMD", ""])[1:]
    if words[0] != "coachsync":
        assert part == "healthcheck"
        return
    named = [word for word in words[1:] if not word.startswith("-") and not re.fullmatch(r"[\d.]+", word)]
    told = CliRunner().invoke(build(), [*named, "--help"])
    assert told.exit_code == 0, told.output
    for option in (word for word in words if word.startswith("--")):
        assert option in told.output


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_only_for_services_that_are_there(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        if condition["condition"] == "service_healthy":
            assert other in STANDING
        else:
            assert other == "migrate"


@pytest.mark.parametrize("name", STANDING)
def test_each_service_that_stands_is_asked_how_it_is(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert set(SERVICES[name]["healthcheck"]) == {"test", "interval", "timeout", "start_period", "retries"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_with_as_little_as_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert name in OURS or service["user"] not in ("root", "0")
    assert name in OURS or re.search(r":v?\d+(\.\d+)*(-alpine)?$", service["image"]), "a version, not what is newest"


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_reached_from_outside_is_reached_from_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert not SERVICES[name].get("privileged")


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there_and_cannot_be_written(name: str) -> None:
    for source, _, *how in (volume.split(":") for volume in SERVICES[name].get("volumes", [])):
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert how == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_the_settings_of_every_service_of_ours_are_taken(tmp_path: Path) -> None:
    """With the secrets that the script makes, read from where it has put them."""
    secrets = made_secrets(tmp_path)
    for service in OURS.values():
        given = {
            name: _resolved(text).replace("/run/secrets", str(secrets))
            for name, text in service["environment"].items()
            if text is not None  # the shell's, where it has one
        }
        for path in secrets.iterdir():
            path.chmod(0o600)  # as seen by who owns it; under /run/secrets everybody may read
        (mounted,) = service["volumes"]
        source, place, _ = mounted.split(":")
        assert given["COACHSYNC_CONFIG"] == place
        given["COACHSYNC_CONFIG"] = str(ROOT / source)
        settings = load_settings({"HOME": str(tmp_path), **given}, cwd=tmp_path)
        assert "@postgres:5432/coachsync" in settings.database_url.get_secret_value()
        assert "@valkey:6379/0" in settings.broker_url.get_secret_value()
        assert settings.webhook_key
        assert set(given) <= {"COACHSYNC_CONFIG", *(f"COACHSYNC_{name.upper()}" for name in NAMES.in_environment)}


def test_what_traces_are_switched_on_with_reaches_each_process_of_ours() -> None:
    page = (ROOT / "docs" / "how-to" / "watch-it.md").read_text()
    asked = set(re.findall(r"\b((?:COACHSYNC|OTEL)_[A-Z_]+)=", page))
    assert "COACHSYNC_TRACES" in asked
    for name, service in OURS.items():
        assert {one for one, text in service["environment"].items() if text is None} == asked, name


def test_the_tables_that_the_mounted_file_shows_are_taken(tmp_path: Path) -> None:
    shown = re.sub(r"^#(?! )", "", (ROOT / "deploy" / "coachsync.toml").read_text(), flags=re.MULTILINE)
    (tmp_path / "coachsync.toml").write_text(shown)
    settings = load_settings({"HOME": str(tmp_path)}, cwd=tmp_path)
    assert settings.roster.stream == "roster"
    assert len(settings.policy.targets) == 1


def _resolved(text: str) -> str:
    """As Compose does where the variable is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def made_secrets(folder: Path) -> Path:
    made = folder / "secrets"
    subprocess.run([ROOT / "deploy" / "make-secrets.sh", str(made)], check=True, capture_output=True, cwd=folder)
    return made


def test_the_script_makes_each_secret_once_for_its_owner_alone(tmp_path: Path) -> None:
    secrets = made_secrets(tmp_path)
    files = {f"./{path.relative_to(tmp_path)}" for path in secrets.iterdir()}
    assert files == {secret["file"] for secret in COMPOSE["secrets"].values()}
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    drawn = [before[name] for name in ("postgres_password", "valkey_password", "grafana_password", "webhook_key")]
    assert len({*drawn}) == 4
    assert all(re.fullmatch(r"[0-9a-f]{48}", secret) for secret in drawn)
    (secrets / "api_token").chmod(0o600)
    (secrets / "api_token").write_text("mine")
    made_secrets(tmp_path)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before | {"api_token": "mine"}


def test_each_secret_that_a_service_names_is_one_of_the_file_and_is_used() -> None:
    used = set()
    for service in SERVICES.values():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        text = yaml.safe_dump({**service, "secrets": None})
        read = set(re.findall(r"/run/secrets/(\w+)", text))
        assert read == set(service.get("secrets", []))
        used |= read
    assert used == set(COMPOSE["secrets"])


def test_no_password_stands_in_the_file_nor_among_a_process_s_arguments() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"PASSWORD(?!__?FILE)[^\n]*[:=] *[^\s/$]", text)
    assert "--requirepass" not in text
    assert "/secrets/" in (ROOT / ".gitignore").read_text()


def test_the_broker_keeps_its_queue_forgets_nothing_and_asks_for_a_password(tmp_path: Path) -> None:
    """Its configuration is taken by the server itself, from the very shell command of the file."""
    *shell, script = SERVICES["valkey"]["command"]
    assert shell == ["sh", "-c"]
    for line in ("appendonly yes", "maxmemory-policy noeviction", "requirepass "):
        assert line in script
    stub = tmp_path / "valkey-server"
    stub.write_text('#!/bin/sh\necho "$@"; cat\n')
    stub.chmod(0o755)
    (tmp_path / "valkey_password").write_text("hunter2")
    ran = subprocess.run(
        [*shell, script.replace("$$", "$").replace("/run/secrets", str(tmp_path))],
        env={"PATH": f"{tmp_path}:{os.defpath}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.splitlines()[0] == "-"
    assert "requirepass hunter2" in ran.stdout


def test_those_who_call_the_sandbox_share_its_network_and_take_the_place_of_the_others() -> None:
    for name in ("sandbox-worker", "sandbox-loops"):
        assert SERVICES[name]["network_mode"] == "service:sandbox"
        assert not SERVICES[name].get("ports")
        assert SERVICES[name]["environment"]["COACHSYNC_API_URL"] == "http://127.0.0.1:8081"
    assert "--profile sandbox up --scale worker=0 --scale loops=0" in (ROOT / "docker-compose.yml").read_text()


def test_each_process_has_time_to_end_what_it_has_in_hand() -> None:
    least = {"worker": 45, "sandbox-worker": 45, "loops": 15, "webhooks": 20, "gateway": 20, "postgres": 30}
    for name, seconds in least.items():
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= seconds


def test_prometheus_looks_where_each_role_serves_its_metrics() -> None:
    assert "--config.file=/etc/prometheus/compose.yml" in SERVICES["prometheus"]["command"]
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "compose.yml").read_text())
    assert all((ROOT / "deploy" / "prometheus" / rules).exists() for rules in config["rule_files"])
    (found,) = config["scrape_configs"][0]["dns_sd_configs"]
    serving = {name for name, service in OURS.items() if "--metrics-port" in service["command"]}
    assert set(found["names"]) == serving
    for name in serving:
        words = OURS[name]["command"]
        assert words[words.index("--metrics-port") + 1] == str(found["port"])
        assert OURS[name]["expose"] == [str(found["port"])]


def test_promtool_takes_how_prometheus_looks() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on this machine")
    asked = [promtool, "check", "config", str(ROOT / "deploy" / "prometheus" / "compose.yml")]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_made_of_files_that_are_there_and_are_let_into_the_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        shlex.split(line)[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY") and "--from" not in line
    ]
    named = {source.removeprefix("./") for names in copied for source in names}
    assert named == let_in
    assert all((ROOT / source).exists() for source in named)


def test_the_image_can_make_traces_where_it_is_asked_to() -> None:
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["otel"]
    assert {re.split(r"[<>=]", one)[0] for one in extra} <= locked


def test_the_image_installs_by_hash_and_runs_as_nobody_special() -> None:
    installs = re.findall(r"install (.*?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
    assert len(installs) == 3
    assert all("--no-deps --require-hashes -r" in words or "--no-deps /opt/wheel/" in words for words in installs)
    assert re.search(r"^USER [1-9]\d*:", DOCKERFILE, re.MULTILINE)


def test_the_image_is_the_same_whenever_it_is_built_and_asked_how_it_is() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", bases[0])
    assert "SOURCE_DATE_EPOCH" in DOCKERFILE
    assert "--invalidation-mode unchecked-hash" in DOCKERFILE
    (checked,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert json.loads(checked) == SERVICES["worker"]["healthcheck"]["test"][1:]
    (runs,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert json.loads(runs) == SERVICES["worker"]["command"][:2]


def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("docker compose is not on this machine")
    checked = subprocess.run(
        ["docker", "compose", "--profile", "sandbox", "--profile", "observability", "config", "--quiet"],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
