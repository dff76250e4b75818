"""Credentials that never change by themselves."""

from pydantic import SecretStr

from api_adapter.auth.secret import check_token


class NoAuthentication:
    """For a remote on this machine that lets anyone in, such as the sandbox: no header is sent."""

    async def header(self) -> str:
        return ""

    async def renew(self, rejected: str) -> bool:  # noqa: ARG002 - the protocol's argument
        return False


class BearerToken:
    """`Authorization: Bearer …`, the same until a person changes it."""

    def __init__(self, token: SecretStr) -> None:
        self._header = "Bearer " + check_token(token, "the bearer token").get_secret_value()

    async def header(self) -> str:
        return self._header

    async def renew(self, rejected: str) -> bool:  # noqa: ARG002 - the protocol's argument
        return False


class ApiKey:
    """`Authorization: ApiKey …`, the vendor's deprecated form."""

    def __init__(self, key: SecretStr) -> None:
        self._header = "ApiKey " + check_token(key, "the API key").get_secret_value()

    async def header(self) -> str:
        return self._header

    async def renew(self, rejected: str) -> bool:  # noqa: ARG002 - the protocol's argument
        return False
