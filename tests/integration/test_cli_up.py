"""`coachsync up`: what cannot run ends it at once, with the reason in one line."""

import json
import socket
import subprocess
import sys
from pathlib import Path

UP = (sys.executable, "-m", "worker.cli", "up")


def test_where_the_sandboxs_port_is_taken_it_gives_up_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {"COACHSYNC_HOME": str(tmp_path), "COACHSYNC_API_URL": f"http://127.0.0.1:{port}"}
        ended = subprocess.run([*UP, "--sandbox"], env=env, capture_output=True, text=True, timeout=40, check=False)
    why = f"the sandbox cannot listen on 127.0.0.1, port {port}: Address already in use"
    *_, last = ended.stderr.splitlines()
    assert (ended.returncode, last) == (2, f"error: sandbox: {why}; stop who does, or name another port")
    assert ended.stderr.count(f"error: {why}") == 1, "the sandbox was started once"
    ready = [json.loads(line)["child"] for line in ended.stderr.splitlines() if "child_ready" in line]
    assert ready == ["valkey"]
