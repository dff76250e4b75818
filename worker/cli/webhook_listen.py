"""``coachsync webhooks listen``: the reference receiver, for trying things out and as a sample."""

import asyncio
import json
import sys
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import typer
from aiohttp import web

from worker.cli.output import ExitCode, Output
from worker.cli.stop_signals import stop_asked
from worker.clock import utc_now
from worker.telling.cells import printable
from worker.webhooks.listener import Listener, Received
from worker.webhooks.signing import Verifier


def listen(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free one.")] = 9000,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    secret: Annotated[
        list[str] | None,
        typer.Option(
            "--secret", help="whsec_… or whpk_…, or @FILE that holds it; again for a second one.", metavar="SECRET"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each message as one JSON line.")] = False,
) -> None:
    """Receive messages, verify each signature, and print each message once, however often it comes.

    What is not verified is answered with 401 and told on standard error. Ctrl-C stops it.

    Example: coachsync webhooks listen --port 9000 --secret whsec_…
    """
    output = Output(as_json)
    if not secret:
        output.fail("--secret: give the one that `coachsync webhooks endpoints create` has printed")
    verifiers = [_verifier(text, output) for text in secret]
    listener = Listener(
        verifiers,
        lambda: utc_now().timestamp(),
        lambda received: _print(received, output),
        lambda why: output.note(f"refused a message: {why}"),
    )
    try:
        asyncio.run(_serve(listener, host, port, output))
    except OSError as error:
        output.fail(f"{host}:{port} cannot be listened on: {error.strerror or error}", ExitCode.REFUSED)


def _verifier(text: str, output: Output) -> Verifier:
    try:
        return Verifier(Path(text[1:]).read_text().strip() if text.startswith("@") else text)
    except OSError as error:
        output.fail(f"--secret: {text[1:]}: {error.strerror}")
    except UnicodeDecodeError:
        output.fail(f"--secret: {text[1:]}: is no text; name the file that holds whsec_… or whpk_…")
    except ValueError as error:
        output.fail(f"--secret: {error}")


async def _serve(listener: Listener, host: str, port: int, output: Output) -> None:
    stop = stop_asked()
    runner = web.AppRunner(listener.app(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0]
        output.note(f"Listening on http://{bound[0]}:{bound[1]}/")
        await stop.wait()
    finally:
        await runner.cleanup()


def _print(received: Received, output: Output) -> None:
    if received.again:
        output.note(f"{received.id} came again")
        return
    body = _read(received.body)
    if output.as_json:
        line = json.dumps({"id": received.id, **body}, ensure_ascii=False)
        sys.stdout.write(line.encode(errors="backslashreplace").decode() + "\n")  # a lone surrogate is no UTF-8
    else:
        time = utc_now().astimezone(UTC).strftime("%H:%M:%S")
        sys.stdout.write(printable(f"{time} {body.get('type')} {received.id} {_facts(body.get('data'))}\n"))
    sys.stdout.flush()


def _read(body: bytes) -> dict[str, Any]:
    """Verified, it is somebody's message, if not always one of ours."""
    try:
        read = json.loads(body)
    except ValueError:
        read = body.decode(errors="replace")
    return read if isinstance(read, dict) else {"type": "?", "data": read}


def _facts(data: Any) -> str:
    if not isinstance(data, dict):
        return str(data)
    return " ".join(f"{name}={value}" for name, value in data.items())
