"""Who may do what: roles of a project, the permission apart from them, the platform's administrator. Deny by
default.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from postern_common.contracts.events import ActionActor

CREDENTIALS_READ = "credentials:read"


class Role(StrEnum):
    """Roles of a project; each holds the rights of the one before."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"


class Right(StrEnum):
    """What a route needs. The policy table maps every route to one of these."""

    PUBLIC = "public"
    """No credential at all."""
    AUTHENTICATED = "authenticated"
    """Any valid credential; the answer is limited to what it may see."""
    ADMINISTER = "administer"
    """The platform's administrator."""
    READ = "read"
    WRITE = "write"
    READ_AUDIT = "read_audit"
    MANAGE_KEYS = "manage_keys"
    PROTECT = "protect"
    """Change the deletion protection of an existing database; asked for by the patch itself."""
    READ_CREDENTIALS = "read_credentials"


_BY_ROLE: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.EDITOR: frozenset({Right.READ, Right.WRITE, Right.READ_AUDIT}),
    Role.OWNER: frozenset({Right.READ, Right.WRITE, Right.READ_AUDIT, Right.MANAGE_KEYS, Right.PROTECT}),
}
_IN_WORDS = {
    Right.ADMINISTER: "the platform's administrator",
    Right.WRITE: "role editor",
    Right.READ_AUDIT: "role editor",
    Right.MANAGE_KEYS: "role owner",
    Right.PROTECT: "role owner",
    Right.READ_CREDENTIALS: f"permission {CREDENTIALS_READ}",
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The presented credential. ``project_id`` is None for the administrator, who stands across projects."""

    actor: ActionActor
    credential: str
    """Scope of idempotency keys: the credential's own id."""
    project_id: UUID | None = None
    project: str | None = None
    role: Role | None = None
    permissions: frozenset[str] = frozenset()
    expires_at: datetime | None = None

    @property
    def is_administrator(self) -> bool:
        """Whether it stands across projects."""
        return self.project_id is None

    def sees(self, project_id: UUID) -> bool:
        """Whether it may know that the project exists."""
        return self.is_administrator or self.project_id == project_id

    def may(self, right: Right, project_id: UUID | None = None) -> bool:
        """Whether the right is given, in ``project_id`` where the right belongs to a project."""
        if right in (Right.PUBLIC, Right.AUTHENTICATED) or self.is_administrator:
            return True
        if project_id is None or self.project_id != project_id or self.role is None:
            return False
        if right is Right.READ_CREDENTIALS:
            return CREDENTIALS_READ in self.permissions
        return right in _BY_ROLE[self.role]


def needed(right: Right) -> str:
    """What a credential lacks, in words."""
    return _IN_WORDS.get(right, str(right))
