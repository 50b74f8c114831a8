"""Base of every message payload."""

from pydantic import BaseModel, ConfigDict


class Payload(BaseModel):
    """A frozen message body. Unknown members are ignored: an additive change keeps the type's version."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )
