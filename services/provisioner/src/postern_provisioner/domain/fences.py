"""Whether we may write over an object that is there: pure checks of its owner, its generation and its fate."""

from collections.abc import Mapping
from typing import Any

from postern_common.contracts.kubernetes import (
    ANNOTATION_GENERATION,
    ANNOTATION_OPERATION_ID,
    FIELD_MANAGER,
    LABEL_DATABASE_ID,
    LABEL_INSTALLATION,
)
from postern_common.contracts.reasons import Reason
from postern_common.errors import PermanentError, TransientError
from postern_provisioner.domain.target import Target


def check_writable(found: Mapping[str, Any] | None, target: Target, installation: str) -> None:
    """Raise unless the object is absent, or ours, not newer than the target, and not going away.

    ``PermanentError`` ``name_conflict`` (another owner) or ``apply_conflict`` (a newer generation is there: our
    database was restored from a backup), ``TransientError`` while somebody deletes it.
    """
    if found is None:
        return
    metadata = found["metadata"]
    what = f"{found.get('kind', 'object')} {metadata['name']}"
    if not is_of_target(found, target, installation):
        raise PermanentError(Reason.NAME_CONFLICT, f"{what} exists and belongs to somebody else")
    check_generation(found, target)
    if metadata.get("deletionTimestamp"):
        raise TransientError(Reason.APPLY_CONFLICT, f"{what} is being deleted by somebody else")


def check_generation(found: Mapping[str, Any], target: Target) -> None:
    """Raise ``PermanentError`` ``apply_conflict`` for an object that we ourselves wrote at a newer generation.

    A newer one that somebody else wrote is an edit like any other, and is repaired (docs/adr/0018).
    """
    generation = generation_of(found)
    if generation > target.generation and not is_forged(found):
        what = f"{found.get('kind', 'object')} {found['metadata']['name']}"
        raise PermanentError(
            Reason.APPLY_CONFLICT, f"{what} carries generation {generation}, newer than {target.generation}"
        )


def is_forged(found: Mapping[str, Any]) -> bool:
    """Whether the API server knows that the generation was written by somebody else, and not by us."""
    member = f"f:{ANNOTATION_GENERATION}"
    owners = {
        entry.get("manager")
        for entry in found["metadata"].get("managedFields") or ()
        if member in (((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {})
    }
    return bool(owners) and FIELD_MANAGER not in owners


def is_of_target(found: Mapping[str, Any], target: Target, installation: str) -> bool:
    """Whether an object of the target's name is the target's, even when somebody took labels of ours away.

    A label that is another's is never ours; one that is missing is, on an object that carries our annotations: its name
    ends in a part of the database's id, and without this no repair and no delete would ever find it again.
    """
    metadata = found["metadata"]
    labels = metadata.get("labels") or {}
    owner = (labels.get(LABEL_DATABASE_ID), labels.get(LABEL_INSTALLATION))
    mine = (str(target.identity.database_id), installation)
    if owner == mine:
        return True
    if any(label not in (None, wanted) for label, wanted in zip(owner, mine, strict=True)):
        return False
    annotations = metadata.get("annotations") or {}
    return ANNOTATION_GENERATION in annotations and ANNOTATION_OPERATION_ID in annotations


def check_namespace(found: Mapping[str, Any] | None, installation: str) -> None:
    """Raise unless the namespace is absent, ours, or nobody's (made beforehand by an administrator), and stays."""
    if found is None:
        return
    metadata = found["metadata"]
    owner = (metadata.get("labels") or {}).get(LABEL_INSTALLATION)
    if owner is not None and owner != installation:
        raise PermanentError(
            Reason.NAME_CONFLICT, f"namespace {metadata['name']} belongs to another installation of Postern"
        )
    if metadata.get("deletionTimestamp") or (found.get("status") or {}).get("phase") == "Terminating":
        raise TransientError(Reason.NAMESPACE_TERMINATING, f"namespace {metadata['name']} is being deleted")


def generation_of(found: Mapping[str, Any]) -> int:
    """The generation an object carries; 0 where the annotation is missing or no number."""
    text = (found["metadata"].get("annotations") or {}).get(ANNOTATION_GENERATION, "")
    return int(text) if text.isascii() and text.isdigit() else 0
