"""How requests are authorised: one `Authorization` header, renewed where it can be.

TokenTrouble
├── TokenRefused      the token's issuer does not let us in: a person has to act
└── TokenUnavailable  no token for now: the issuer or the shared store is away
"""

from typing import Protocol


class TokenTrouble(Exception):  # noqa: N818 - the word of this project for what is no bug
    """No header can be given. The message never holds a secret."""


class TokenRefused(TokenTrouble):
    pass


class TokenUnavailable(TokenTrouble):
    pass


class Authenticator(Protocol):
    async def header(self) -> str:
        """The value of `Authorization`, empty for none; raises ``TokenTrouble``."""
        ...

    async def renew(self, rejected: str) -> bool:
        """The remote answered 401 to this header. True if the next ``header()`` is another one. Never raises."""
        ...
