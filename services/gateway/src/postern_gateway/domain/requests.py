"""Request bodies: their members and types. What the values mean is checked against the catalogue in ``validation``.

Unknown members are refused (design/api.md) and nothing is coerced: ``"3"`` is no number.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from typing_extensions import TypeVar

from postern_common.errors import Violation
from postern_gateway.domain.problems import invalid

MAX_DEPTH = 16
"""Deepest nesting that is looked at; nothing the API takes is deeper than three."""

Text = Annotated[str, StringConstraints(max_length=253)]
LabelKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_./]{0,61}[A-Za-z0-9])?$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
Parameter = bool | int | float | Annotated[str, StringConstraints(max_length=200)]


class Body(BaseModel):
    """Base of every request body."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CreateProject(Body):
    """``POST /v1/projects``."""

    name: Text = Field(description="DNS-1035 label, at most 40 characters; never reused", examples=["acme"])


class CreateDatabase(Body):
    """``POST /v1/projects/{project}/databases``. What is left out comes from the plan."""

    name: Text = Field(description="DNS-1035 label, at most 40 characters", examples=["orders"])
    plan: Text = Field(
        description="A plan of the catalogue: cpu, memory, default storage and instances", examples=["standard-2"]
    )
    version: int | None = Field(None, description="PostgreSQL major; default: the highest offered", examples=[17])
    instances: int | None = Field(None, ge=1, le=9, description="1-9; default: the plan's")
    storage: Text | None = Field(None, description="Kubernetes quantity; only grows later", examples=["20Gi"])
    storage_class: Text | None = Field(None, description="A class of the catalogue; default: the cluster's own")
    parameters: dict[Text, Parameter] = Field({}, max_length=100, description="PostgreSQL parameters on the allow-list")
    allowed_cidrs: list[Text] | None = Field(
        None, max_length=64, description="Networks that may connect; null is every one", examples=[["10.0.0.0/8"]]
    )
    labels: dict[LabelKey, LabelValue] = Field({}, max_length=32, description="Your own key-value pairs")
    deletion_protection: bool | None = Field(
        None, description="Refuse DELETE; default: on where the plan has more than one instance"
    )


class PatchDatabase(Body):
    """``PATCH …/databases/{name}``, RFC 7396: null removes, which puts a default back where there is one.

    ``name``, ``version`` and ``storage_class`` may be repeated but not changed.
    """

    plan: Text | None = Field(None, description="Changes cpu and memory only")
    instances: int | None = Field(None, ge=1, le=9)
    storage: Text | None = Field(None, description="At least the largest size ever applied", examples=["40Gi"])
    parameters: dict[Text, Parameter | None] | None = Field(None, max_length=100)
    allowed_cidrs: list[Text] | None = Field(None, max_length=64)
    labels: dict[LabelKey, LabelValue | None] | None = Field(None, max_length=32)
    deletion_protection: bool | None = Field(None, description="Changing it is an owner's right")
    name: Text | None = None
    version: int | None = None
    storage_class: Text | None = None


class CreateApiKey(Body):
    """``POST …/api-keys``."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(examples=["ci"])
    role: Literal["viewer", "editor", "owner"]
    permissions: list[Literal["credentials:read"]] = Field([], max_length=8)
    expires_at: datetime | None = Field(None, strict=False, description="RFC 3339; never, when left out")


class NoBody(Body):
    """Actions take no body; ``{}`` is taken for none."""


B = TypeVar("B", bound=Body)


def parse_body(raw: bytes, model: type[B]) -> tuple[B, frozenset[str]]:
    """The body as ``model``, and which members were given.

    Raises ``ClientError`` 422 with a violation for each fault: no JSON, no object, U+0000, unknown members, types.
    """
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise invalid(Violation("", "invalid_json", f"the body is no JSON document: {str(error)[:150]}")) from error
    if not isinstance(document, dict):
        raise invalid(Violation("", "invalid_type", "the body must be a JSON object"))
    _refuse_nul(document)
    try:
        body = model.model_validate(document)
    except ValidationError as error:
        raise invalid(
            *(_violation(fault) for fault in error.errors(include_url=False, include_context=False))
        ) from error
    return body, frozenset(body.model_fields_set)


def _refuse_nul(document: dict[str, Any]) -> None:
    faults: list[Violation] = []
    waiting: list[tuple[str, Any, int]] = [("", document, 0)]
    while waiting:
        pointer, value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise invalid(Violation(pointer[:200], "invalid_value", f"nested deeper than {MAX_DEPTH}"))
        if isinstance(value, str) and "\x00" in value:
            faults.append(Violation(pointer, "nul_character", "text may not hold U+0000"))
        elif isinstance(value, dict):
            for key, item in value.items():
                if "\x00" in key:
                    faults.append(Violation(pointer, "nul_character", "a member's name may not hold U+0000"))
                else:
                    waiting.append((f"{pointer}/{escape(key)}", item, depth + 1))
        elif isinstance(value, list):
            waiting.extend((f"{pointer}/{index}", item, depth + 1) for index, item in enumerate(value))
    if faults:
        raise invalid(*faults)


_CODES = {"extra_forbidden": "unknown_member", "missing": "required"}


def _violation(fault: Any) -> Violation:
    kind = str(fault["type"])
    code = _CODES.get(kind) or ("invalid_type" if kind.endswith(("_type", "_parsing")) else "invalid_value")
    # a union's branches end in their type's name, which is no member of the document
    path = [part for part in fault["loc"] if part not in _BRANCHES]
    return Violation("".join(f"/{escape(str(part))}" for part in path), code, str(fault["msg"])[:300])


_BRANCHES = frozenset({"bool", "int", "float", "str", "constrained-str", "[key]"})


def escape(member: str) -> str:
    """A member's name as a token of a JSON pointer (RFC 6901)."""
    return member.replace("~", "~0").replace("/", "~1")
