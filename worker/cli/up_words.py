"""What ``coachsync up`` says once all is ready: what runs, where, and what to type next."""

from worker.configuration.redaction import mask_url
from worker.configuration.settings import Settings
from worker.configuration.values import sqlite_url
from worker.core.verdict import workers_words

LETS_IN = "coachsync tokens create me --scope console:act"


def ready_words(settings: Settings, processes: int, *, sandbox: bool) -> str:
    """One line."""
    sending = _sending(settings, sandbox=sandbox)
    return (
        f"Ready: {workers_words(1, processes)} and the loops {sending}, webhooks are delivered;"
        f" {_gateway(settings)}{_places(settings)}."
        " Next, in another terminal with the same settings: coachsync doctor, coachsync targets apply FILE --wait."
        " Ctrl-C stops all."
    )


def _sending(settings: Settings, *, sandbox: bool) -> str:
    match [remote.api_url for remote in settings.all_remotes]:
        case []:
            return "have nobody to send to"
        case [url]:
            return f"send to {'the sandbox at ' if sandbox else ''}{url}"
        case urls:
            return f"send to {len(urls):,} remotes" + (", the sandbox among them" if sandbox else "")


def _gateway(settings: Settings) -> str:
    """Which port a 0 has become its own line tells."""
    if not settings.gateway_listen.port:
        return ""
    url = settings.gateway_listen.url
    return f"the gateway is at {url}, the console at {url}/console (`{LETS_IN}` lets you in); "


def _places(settings: Settings) -> str:
    database, broker = (url.get_secret_value() for url in (settings.database_url, settings.broker_url))
    at_home = database == sqlite_url(settings.home / "coachsync.db")
    if at_home and settings.embedded_broker:
        return f"Valkey and the database are in {settings.home}"
    where = f"Valkey is in {settings.home}" if settings.embedded_broker else f"the broker is {mask_url(broker)}"
    return f"{where}, the database is {mask_url(database)}"
