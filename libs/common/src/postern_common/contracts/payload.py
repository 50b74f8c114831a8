"""Base of every message payload."""

from pydantic import BaseModel, ConfigDict


class Payload(BaseModel):
    """A frozen message body. Unknown members are ignored: an additive change keeps the type's version."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="iso8601")
