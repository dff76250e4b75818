"""What ``coachsync up`` says once all is ready: what runs, where, and what to type next."""

from worker.configuration.redaction import mask_url
from worker.configuration.settings import Settings
from worker.configuration.values import sqlite_url
from worker.core.verdict import workers_words

LETS_IN = "coachsync tokens create me --scope console:act"


def ready_words(settings: Settings, processes: int, *, sandbox: bool) -> str:
    """A block that is seen among the lines of the log: what runs, an address a line, and what to type next."""
    lines = {
        "sends to": _sending(settings, sandbox=sandbox),
        **_gateway(settings),
        **_places(settings),
        "next": "with the same settings in another terminal: coachsync doctor, targets apply FILE --wait, status",
    }
    told = "\n".join(f"  {name:<10} {words}" for name, words in lines.items())
    return f"\nReady: {workers_words(1, processes)}, the loops, webhooks and the gateway. Ctrl-C stops all.\n{told}\n"


def _sending(settings: Settings, *, sandbox: bool) -> str:
    match [remote.api_url for remote in settings.all_remotes]:
        case []:
            return "nobody yet: set COACHSYNC_API_URL"
        case [url]:
            return f"{'the sandbox at ' if sandbox else ''}{url}"
        case urls:
            return f"{len(urls):,} remotes" + (", the sandbox among them" if sandbox else "")


def _gateway(settings: Settings) -> dict[str, str]:
    """Which port a 0 has become its own line tells."""
    if not settings.gateway_listen.port:
        return {}
    url = settings.gateway_listen.url
    return {"gateway": url, "console": f"{url}/console", "sign in": f"with a token: {LETS_IN}"}


def _places(settings: Settings) -> dict[str, str]:
    database, broker = (url.get_secret_value() for url in (settings.database_url, settings.broker_url))
    at_home = database == sqlite_url(settings.home / "coachsync.db")
    return {
        "database": str(settings.home / "coachsync.db") if at_home else mask_url(database),
        "broker": f"Valkey, in {settings.home}" if settings.embedded_broker else mask_url(broker),
    }
