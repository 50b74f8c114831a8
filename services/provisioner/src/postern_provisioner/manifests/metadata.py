"""Labels, annotations and the hash that every object of ours carries: written here only, read by the watcher."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from postern_common.contracts.kubernetes import (
    ANNOTATION_GENERATION,
    ANNOTATION_GOAL,
    ANNOTATION_HASH,
    ANNOTATION_OPERATION_ID,
    ANNOTATION_TRACEPARENT,
    LABEL_DATABASE,
    LABEL_DATABASE_ID,
    LABEL_INSTALLATION,
    LABEL_PROJECT,
    LABEL_PROJECT_ID,
    MANAGED_BY,
)

_NOT_HASHED = (ANNOTATION_GENERATION, ANNOTATION_GOAL, ANNOTATION_HASH, ANNOTATION_OPERATION_ID, ANNOTATION_TRACEPARENT)
"""Who asked and when; the hash is about what was asked."""


def project_labels(*, installation: str, project: str, project_id: UUID) -> dict[str, str]:
    """Labels of what belongs to a project."""
    return {
        "app.kubernetes.io/name": "postern",
        "app.kubernetes.io/part-of": "postern",
        "app.kubernetes.io/managed-by": MANAGED_BY,
        LABEL_INSTALLATION: installation,
        LABEL_PROJECT: project,
        LABEL_PROJECT_ID: str(project_id),
    }


def database_labels(
    *, installation: str, project: str, project_id: UUID, database: str, database_id: UUID, cluster: str, component: str
) -> dict[str, str]:
    """Labels of what belongs to a database: by them its objects are found again (delete, resync, watch)."""
    return {
        **project_labels(installation=installation, project=project, project_id=project_id),
        "app.kubernetes.io/name": "postgresql",
        "app.kubernetes.io/instance": cluster,
        "app.kubernetes.io/component": component,
        LABEL_DATABASE: database,
        LABEL_DATABASE_ID: str(database_id),
    }


def operation_annotations(*, generation: int, operation_id: UUID, goal: str, traceparent: str | None) -> dict[str, str]:
    """Annotations that tell the watcher which operation an object's state belongs to (semantics 10, 13)."""
    annotations = {
        ANNOTATION_GENERATION: str(generation),
        ANNOTATION_OPERATION_ID: str(operation_id),
        ANNOTATION_GOAL: goal,
    }
    if traceparent:
        annotations[ANNOTATION_TRACEPARENT] = traceparent
    return annotations


def with_hash(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with the annotation ``postern.dev/hash`` over all of it that is not about the operation."""
    annotations: Mapping[str, str] = manifest["metadata"].get("annotations", {})
    hashed = {name: value for name, value in annotations.items() if name not in _NOT_HASHED}
    subject = {**manifest, "metadata": {**manifest["metadata"], "annotations": hashed}}
    digest = hashlib.sha256(json.dumps(subject, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    metadata = {**manifest["metadata"], "annotations": {**annotations, ANNOTATION_HASH: digest}}
    return {**manifest, "metadata": metadata}
