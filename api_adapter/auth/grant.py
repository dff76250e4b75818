"""The token request of the vendor's connector, and what its answer comes to (RFC 6749 §4.4, §5). Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from api_adapter.auth.authenticator import TokenRefused, TokenUnavailable
from api_adapter.auth.secret import check_token, masked
from api_adapter.auth.tokens import AccessToken
from api_adapter.classify import NoReply, Reply
from api_adapter.error_body import read_error_body

TOKEN_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
TOKEN_BODY = b'{"grant_type":"client_credentials"}'

_OK = 200
_LATER = (408, 425, 429)
_SERVER_ERROR = 500


class _Grant(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    access_token: SecretStr
    expires_in: int = Field(default=300, gt=0, le=366 * 24 * 3600)  # where none is given: a short life

    @field_validator("access_token")
    @classmethod
    def _fit_for_a_header(cls, token: SecretStr) -> SecretStr:
        return check_token(token, "the access token")


def read_grant(reply: Reply | NoReply, asked_at: datetime, *, secrets: Sequence[SecretStr]) -> AccessToken:
    """Raises ``TokenTrouble``. A token's life is counted from the asking: never longer than the issuer's count."""
    if isinstance(reply, NoReply):
        raise TokenUnavailable(f"the token's issuer gave no answer ({reply.message})")
    if reply.status != _OK:
        _refuse(reply, secrets)
    try:
        grant = _Grant.model_validate_json(reply.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise TokenUnavailable(f"the token's issuer answered no usable token: {where} {first['msg']}") from None
    return AccessToken(grant.access_token, asked_at, asked_at + timedelta(seconds=grant.expires_in))


def _refuse(reply: Reply, secrets: Sequence[SecretStr]) -> NoReturn:
    words = read_error_body(reply.status, masked(reply.body, *secrets)).message
    message = f"the token's issuer answered {reply.status}: {words}"
    if reply.status in _LATER or reply.status >= _SERVER_ERROR:
        raise TokenUnavailable(message)
    raise TokenRefused(message)
