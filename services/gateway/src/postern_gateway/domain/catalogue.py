"""The catalogue: plans, versions and the parameters that may be set, as one validated document.

Separate from the request checks: this is what the installation offers, those are what a caller asked.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from postern_gateway.domain.parameters import ParameterRule
from postern_gateway.domain.quantities import parse_bytes, parse_millicores, parse_postgres_memory

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Plan(_Strict):
    """A named size. cpu, memory and storage are Kubernetes quantities."""

    name: Name
    description: str
    cpu: str
    memory: str
    storage: str
    instances: int = Field(ge=1, le=9)
    parameters: dict[str, str] = {}

    @model_validator(mode="after")
    def _quantities_are_quantities(self) -> Self:
        parse_millicores(self.cpu)
        parse_bytes(self.storage)
        memory = parse_bytes(self.memory)
        buffers = self.parameters.get("shared_buffers")
        if buffers is not None and parse_postgres_memory(buffers, base_unit=8192) > memory:
            raise ValueError(f"plan {self.name}: shared_buffers exceed memory")
        return self


class StorageLimits(_Strict):
    """Smallest and largest volume, as Kubernetes quantities."""

    minimum: str
    maximum: str

    @property
    def range(self) -> tuple[int, int]:
        """Both ends in bytes."""
        return parse_bytes(self.minimum), parse_bytes(self.maximum)


class Catalogue(_Strict):
    """Everything that may be asked for. ``fixed_parameters`` are the operator's own and refused with that reason."""

    format: Literal[1]
    versions: tuple[int, ...]
    storage: StorageLimits
    plans: tuple[Plan, ...]
    parameters: dict[str, ParameterRule]
    fixed_parameters: frozenset[str]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [plan.name for plan in self.plans]
        if len(set(names)) != len(names):
            raise ValueError("two plans have one name")
        overlap = self.fixed_parameters & self.parameters.keys()
        if overlap:
            raise ValueError(f"both allowed and fixed: {sorted(overlap)}")
        low, high = self.storage.range
        for plan in self.plans:
            if not low <= parse_bytes(plan.storage) <= high:
                raise ValueError(f"plan {plan.name}: storage outside the limits")
            for name, value in plan.parameters.items():
                rule = self.parameters.get(name)
                if rule is None or any(not rule.is_in(version) for version in self.versions):
                    raise ValueError(f"plan {plan.name}: parameter {name} is not allowed in every version")
                rule.normalise(value)
        return self

    def plan(self, name: str) -> Plan | None:
        """The plan of that name."""
        return next((plan for plan in self.plans if plan.name == name), None)

    def rules(self, version: int) -> dict[str, ParameterRule]:
        """The allow-list of one PostgreSQL major."""
        return {name: rule for name, rule in self.parameters.items() if rule.is_in(version)}


class Offer(_Strict):
    """The catalogue as this installation can run it: settings narrow what the file allows."""

    catalogue: Catalogue
    versions: tuple[int, ...]
    storage_classes: tuple[str, ...] = ()

    @property
    def default_version(self) -> int:
        """The highest major that can be run."""
        return max(self.versions)


def parse_catalogue(document: Any) -> Catalogue:
    """Validate a decoded document. Raises ``pydantic.ValidationError`` with the place of the fault."""
    return Catalogue.model_validate(document)


def build_offer(catalogue: Catalogue, versions: tuple[int, ...], storage_classes: tuple[str, ...]) -> Offer:
    """Narrow ``catalogue`` to what the cluster can run. Raises ``ValueError`` when nothing is left or a version is
    unknown.
    """
    unknown = sorted(set(versions) - set(catalogue.versions))
    if unknown or not versions:
        raise ValueError(
            f"PostgreSQL versions {unknown or 'none'} are not among the catalogue's {list(catalogue.versions)}"
        )
    return Offer(catalogue=catalogue, versions=tuple(sorted(set(versions))), storage_classes=storage_classes)
