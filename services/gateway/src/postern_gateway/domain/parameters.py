"""One rule per PostgreSQL parameter: type, range, versions, and whether a change restarts the instances.

An unknown parameter passes CloudNativePG's webhook and then crash-loops the instances, so nothing outside these rules
may reach the cluster.
"""

import re
import zoneinfo
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from postern_gateway.domain.quantities import parse_postgres_memory, parse_postgres_time

ParameterValue = bool | int | float | str
_BOOLEANS = {"on": "on", "true": "on", "yes": "on", "1": "on", "off": "off", "false": "off", "no": "off", "0": "off"}
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?")


@cache
def _zones() -> frozenset[str]:
    return frozenset({"UTC", *zoneinfo.available_timezones()})


class ParameterRule(BaseModel):
    """What values a parameter takes. ``unit`` is that of a bare number; ``minimum`` and ``maximum`` are in that
    unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["boolean", "integer", "real", "enum", "memory", "time", "string", "timezone"]
    unit: Literal["B", "kB", "8kB", "MB", "ms", "s", "min"] | None = None
    minimum: float | None = None
    maximum: float | None = None
    also: tuple[float, ...] = ()
    """Values outside the range with a meaning of their own, such as -1 for "automatic"."""
    values: tuple[str, ...] = ()
    pattern: str | None = None
    restart: bool = False
    since: int = 0
    until: Annotated[int, Field(description="last major that knows it")] = 99

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needs_range = self.type in ("integer", "real", "memory", "time")
        if needs_range and (self.minimum is None or self.maximum is None):
            raise ValueError("a number needs a range")
        if self.type in ("memory", "time") and self.unit is None:
            raise ValueError("memory and time need a unit")
        if (self.type == "enum") != bool(self.values) or (self.type == "string") != (self.pattern is not None):
            raise ValueError("enum needs values, string needs a pattern")
        return self

    def is_in(self, version: int) -> bool:
        """Whether that PostgreSQL major knows the parameter."""
        return self.since <= version <= self.until

    @property
    def unit_bytes(self) -> int:
        """Bytes of one unit of a memory parameter."""
        return {"B": 1, "kB": 1024, "8kB": 8192, "MB": 1024 * 1024}.get(self.unit or "", 1)

    def normalise(self, value: ParameterValue) -> str:
        """The value as PostgreSQL writes it. Raises ``ValueError`` in words for the caller."""
        if self.type == "boolean":
            return self._boolean(value)
        if isinstance(value, bool):
            raise ValueError(f"must be {self.type}, not a boolean")  # noqa: TRY004 - a fault of the value, told as such
        text = str(value).strip()
        if self.type in ("integer", "real"):
            return self._number(text)
        if self.type == "enum":
            if text not in self.values:
                raise ValueError(f"must be one of {', '.join(self.values)}")
            return text
        if self.type == "timezone":
            # a name that PostgreSQL does not know keeps it from starting, like an unknown parameter
            if text not in _zones():
                raise ValueError("must be the name of a time zone, such as UTC or Europe/Berlin")
            return text
        if self.type == "string":
            if self.pattern is None or re.fullmatch(self.pattern, text) is None:
                raise ValueError(f"must match {self.pattern}")
            return text
        return self._measure(text)

    def _boolean(self, value: ParameterValue) -> str:
        text = _BOOLEANS.get(str(value).strip().lower())
        if text is None:
            raise ValueError("must be on or off")
        return text

    def _number(self, text: str) -> str:
        match = _NUMBER.fullmatch(text)
        if match is None or (self.type == "integer" and match[1]):
            raise ValueError("must be a whole number" if self.type == "integer" else "must be a number")
        self._check_range(float(text), text)
        return text

    def _measure(self, text: str) -> str:
        if self.type == "memory":
            size = parse_postgres_memory(text, base_unit=self.unit_bytes)
            number = float(size) if size < 0 else size / self.unit_bytes
        else:
            duration = parse_postgres_time(text, base_unit=self.unit or "ms")
            per_unit = parse_postgres_time("1", base_unit=self.unit or "ms")
            number = float(duration) if duration < 0 else float(duration / per_unit)
        self._check_range(number, text)
        return text.replace(" ", "")

    def _check_range(self, number: float, text: str) -> None:
        low, high = self.minimum, self.maximum
        if low is None or high is None or number in self.also or low <= number <= high:
            return
        unit = f" {self.unit}" if self.unit else ""
        raise ValueError(f"{text[:40]} is outside {low:g}{unit} to {high:g}{unit}")
