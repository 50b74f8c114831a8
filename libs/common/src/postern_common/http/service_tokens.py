"""Tokens of the internal HTTP calls: signed, for one audience, valid for 60 seconds (design/architecture.md)."""

import time
from typing import Final

import jwt

from postern_common.errors import ClientError

LIFETIME_SECONDS: Final = 60
LEEWAY_SECONDS: Final = 5
_ALGORITHM: Final = "HS256"
_MAX_LENGTH: Final = 2048


def issue_service_token(key: str, *, audience: str, issuer: str) -> str:
    """A token with which ``issuer`` may call ``audience`` for the next minute."""
    now = int(time.time())
    claims = {"iss": issuer, "sub": issuer, "aud": audience, "iat": now, "exp": now + LIFETIME_SECONDS}
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def verify_service_token(key: str, token: str, *, audience: str) -> str:
    """Check a token and return its issuer. Raises ``ClientError`` 401, the same for every fault."""
    try:
        if len(token) > _MAX_LENGTH:
            raise jwt.InvalidTokenError("too long")
        claims = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=audience,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        if claims["exp"] - claims["iat"] > LIFETIME_SECONDS:
            raise jwt.InvalidTokenError("lives too long")
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise ClientError(
            401, "unauthenticated", "A valid service token is required.", headers={"WWW-Authenticate": "Bearer"}
        ) from error
    return str(claims["iss"])


def bearer_token(authorization: str | None) -> str:
    """The token of an ``Authorization`` header, empty when there is none: ``verify_service_token`` refuses that."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
