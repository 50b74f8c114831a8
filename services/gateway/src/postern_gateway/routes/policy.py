"""The one table of who may call what. A route that is not in it cannot be registered; a test walks it by every role."""

from typing import Final

from postern_gateway.domain.access import Right

_P: Final = "/v1/projects/{project}"
_D: Final = f"{_P}/databases/{{name}}"

POLICY: Final[dict[tuple[str, str], Right]] = {
    ("GET", "/healthz"): Right.PUBLIC,
    ("GET", "/openapi.json"): Right.PUBLIC,
    ("GET", "/docs"): Right.PUBLIC,
    ("GET", "/v1/me"): Right.AUTHENTICATED,
    ("GET", "/v1/catalog"): Right.AUTHENTICATED,
    ("GET", "/v1/projects"): Right.AUTHENTICATED,
    ("POST", "/v1/projects"): Right.ADMINISTER,
    ("GET", _P): Right.READ,
    ("GET", f"{_P}/databases"): Right.READ,
    ("POST", f"{_P}/databases"): Right.WRITE,
    ("GET", _D): Right.READ,
    ("PATCH", _D): Right.WRITE,
    ("DELETE", _D): Right.WRITE,
    ("GET", f"{_D}/connection"): Right.READ,
    ("GET", f"{_D}/credentials"): Right.READ_CREDENTIALS,
    ("POST", f"{_D}/actions/restart"): Right.WRITE,
    ("POST", f"{_D}/actions/reload"): Right.WRITE,
    ("POST", f"{_D}/actions/switchover"): Right.WRITE,
    ("POST", f"{_D}/actions/hibernate"): Right.WRITE,
    ("POST", f"{_D}/actions/resume"): Right.WRITE,
    ("GET", f"{_P}/operations"): Right.READ,
    ("GET", f"{_P}/operations/{{id}}"): Right.READ,
    ("GET", f"{_P}/events"): Right.READ,
    ("GET", f"{_P}/audit"): Right.READ_AUDIT,
    ("GET", f"{_P}/api-keys"): Right.MANAGE_KEYS,
    ("POST", f"{_P}/api-keys"): Right.MANAGE_KEYS,
    ("DELETE", f"{_P}/api-keys/{{id}}"): Right.MANAGE_KEYS,
}
