"""Where a server of ours listens: ``HOST:PORT``."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator

_FORM = "give it like 127.0.0.1:8080 or [::1]:8080"


@dataclass(frozen=True, slots=True)
class Listen:
    """Port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self}"


def parse_listen(value: object) -> Listen:
    """Raises ``ValueError``."""
    if isinstance(value, Listen):
        return value
    text = str(value)
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.netloc != text or "@" in text or not text.isprintable() or " " in text:
        raise ValueError(f"is no address to listen at; {_FORM}")
    return Listen(host, port)


ListenAt = Annotated[Listen, BeforeValidator(parse_listen)]
