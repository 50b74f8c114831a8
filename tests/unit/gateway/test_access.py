"""Rights of a principal: by role within its own project, nothing elsewhere."""

from uuid import UUID

import pytest

from postern_common.contracts.events import ActionActor
from postern_gateway.domain.access import CREDENTIALS_READ, Principal, Right, Role

OWN, OTHER = UUID(int=1), UUID(int=2)
GRANTED = {
    Role.VIEWER: {Right.READ},
    Role.EDITOR: {Right.READ, Right.WRITE, Right.READ_AUDIT},
    Role.OWNER: {Right.READ, Right.WRITE, Right.READ_AUDIT, Right.MANAGE_KEYS, Right.PROTECT},
}
ANYBODY = {Right.PUBLIC, Right.AUTHENTICATED}


def principal(role: Role | None, *permissions: str) -> Principal:
    actor = ActionActor(kind="api_key", name="ci")
    return Principal(actor, "c", OWN, "acme", role, frozenset(permissions))


@pytest.mark.parametrize("right", list(Right))
@pytest.mark.parametrize("role", list(Role))
def test_a_role_has_its_rights_in_its_own_project_only(role: Role, right: Right) -> None:
    for permissions in ((), (CREDENTIALS_READ,)):
        who = principal(role, *permissions)
        reads = right is Right.READ_CREDENTIALS and bool(permissions)
        assert who.may(right, OWN) is (right in ANYBODY or right in GRANTED[role] or reads)
        assert who.may(right, OTHER) is (right in ANYBODY)
        assert who.may(right) is (right in ANYBODY)


@pytest.mark.parametrize("right", list(Right))
def test_the_administrator_may_everything_and_a_key_without_a_role_nothing(right: Right) -> None:
    administrator = Principal(ActionActor(kind="administrator", name="bootstrap"), "bootstrap")
    assert administrator.may(right, OWN)
    assert principal(None, CREDENTIALS_READ).may(right, OWN) is (right in ANYBODY)
