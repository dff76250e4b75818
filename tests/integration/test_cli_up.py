"""`coachsync up`: what cannot run ends it at once, with the reason in one line."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli_rig import Command
from worker.configuration.problems import SettingsError

NO_SANDBOX = "error: --sandbox: set COACHSYNC_API_URL to a port of this machine, like http://127.0.0.1:8081\n"
UP = (sys.executable, "-m", "worker.cli", "up")


def test_where_the_sandboxs_port_is_taken_it_gives_up_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {"COACHSYNC_HOME": str(tmp_path), "COACHSYNC_API_URL": f"http://127.0.0.1:{port}"}
        ended = subprocess.run([*UP, "--sandbox"], env=env, capture_output=True, text=True, timeout=40, check=False)
    why = f"the sandbox cannot listen on 127.0.0.1, port {port}: Address already in use"
    *_, last = ended.stderr.splitlines()
    assert (ended.returncode, last) == (2, f"error: sandbox: {why}; stop who does, or name another port")
    assert ended.stderr.count(why) == 1, "it is said once"
    assert ended.stderr.count("child_refused") == 1, "the sandbox was started once"
    ready = [json.loads(line)["child"] for line in ended.stderr.splitlines() if "child_ready" in line]
    assert ready == ["valkey"]


@pytest.mark.parametrize(
    "url",
    ["https://api.example.com", "http://10.0.0.1:8081", "http://127.0.0.1", "http://127.0.0.1:many", "http://[", None],
)
@pytest.mark.parametrize("where", ["variable", "file"])
def test_a_url_where_no_sandbox_can_be_is_told_before_its_missing_credential(
    url: str | None, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"COACHSYNC_HOME": str(tmp_path / "home")}
    if url and where == "file":
        (tmp_path / "coachsync.toml").write_text(f'api_url = "{url}"\n')
    elif url:
        environ["COACHSYNC_API_URL"] = url
    assert Command(environ)("up", "--sandbox", code=2).err == NO_SANDBOX
    assert not (tmp_path / "home").exists()


def test_a_file_of_settings_that_cannot_be_read_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coachsync.toml").write_text("api_url = http")
    with pytest.raises(SettingsError, match=r"coachsync\.toml"):
        Command({"COACHSYNC_HOME": str(tmp_path / "home")})("up", "--sandbox")
