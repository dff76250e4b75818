"""Secrets are checked where they come in, so that a header is never built from one that would break it."""

from pydantic import SecretStr


def check_token(token: SecretStr, what: str) -> SecretStr:
    """Visible ASCII only. Raises ``ValueError`` that says where it is wrong, without the secret."""
    text = token.get_secret_value()
    if not text:
        raise ValueError(f"{what} is empty")
    for position, character in enumerate(text, start=1):
        if not "!" <= character <= "~":
            raise ValueError(
                f"{what} holds {_kind(character)} at character {position} of {len(text)}; visible ASCII is expected"
            )
    return token


def masked(body: bytes, *secrets: SecretStr) -> bytes:
    """A remote may echo what it rejects: its words are shown to people and kept, the secret is not."""
    for secret in filter(None, secrets):
        body = body.replace(secret.get_secret_value().encode(), b"***")
    return body


def _kind(character: str) -> str:
    match character:
        case "\r" | "\n":
            return "a line break"
        case " " | "\t":
            return "white space"
        case _ if character.isascii():
            return "a control character"
        case _:
            return "a character outside ASCII"
