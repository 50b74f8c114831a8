"""Shape of objects: identity, times, the member order of their JSON, names that the server accepts.

Pure functions over decoded objects, used by reads, writes and the collector.
"""

import random
import re
from datetime import UTC, datetime

from postern_devcluster.apiserver.kinds import Kind
from postern_devcluster.apiserver.status import Object, bad_request, cause

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_LABEL_1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_QUALIFIED = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_LARGEST_ANNOTATIONS = 256 * 1024
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def timestamp(now: datetime) -> str:
    """RFC 3339 with whole seconds, as metadata shows times."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shaped(body: Object, kind: Kind) -> Object:
    """The object with its type first: lists of built-in kinds cut that off their items."""
    if kind.custom:
        head = {"apiVersion": kind.api_version, "kind": kind.kind}
    else:
        head = {"kind": kind.kind, "apiVersion": kind.api_version}
    rest = {name: value for name, value in body.items() if name not in ("kind", "apiVersion", "metadata")}
    return {**head, "metadata": body["metadata"], **rest}


def type_prefix(kind: Kind) -> bytes:
    """How the encoded form of every object of a built-in kind begins."""
    return f'{{"kind":"{kind.kind}","apiVersion":"{kind.api_version}",'.encode()


def generated_name(prefix: str) -> str:
    """A name for ``generateName``."""
    return prefix[:58] + "".join(random.choices(_SUFFIX_LETTERS, k=5))


def check_type(body: object, kind: Kind) -> Object:
    """The body as an object of this kind. Raises 400 where it is something else."""
    if not isinstance(body, dict):
        raise bad_request("the object provided is unrecognized (must be a JSON object)")
    for member, expected in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        given = body.get(member, expected)
        if given != expected:
            what = "API version" if member == "apiVersion" else "kind"
            raise bad_request(f"the {what} in the data ({given}) does not match the expected {what} ({expected})")
    metadata = body.get("metadata", {})
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    return {**body, "metadata": metadata}


def metadata_causes(metadata: Object, kind: Kind) -> list[Object]:
    """What is wrong with names, labels and annotations."""
    causes = []
    name = metadata["name"]
    if not _name_is_valid(name, kind):
        text = (
            f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric '
            "characters, '-' or '.', and must start and end with an alphanumeric character"
        )
        causes.append(cause("FieldValueInvalid", text, "metadata.name"))
    for label, value in (metadata.get("labels") or {}).items():
        if not _QUALIFIED.match(label):
            text = f"Invalid value: \"{label}\": name part must consist of alphanumeric characters, '-', '_' or '.'"
            causes.append(cause("FieldValueInvalid", text, "metadata.labels"))
        if len(str(value)) > 63 or not _LABEL_VALUE.match(str(value)):
            text = (
                f'Invalid value: "{value}": a valid label must be an empty string or consist of alphanumeric '
                "characters, '-', '_' or '.', of at most 63 characters"
            )
            causes.append(cause("FieldValueInvalid", text, "metadata.labels"))
    size = sum(len(name) + len(str(value)) for name, value in (metadata.get("annotations") or {}).items())
    if size > _LARGEST_ANNOTATIONS:
        text = f"Too long: may not be more than {_LARGEST_ANNOTATIONS} bytes"
        causes.append(cause("FieldValueTooLong", text, "metadata.annotations"))
    return causes


def _name_is_valid(name: str, kind: Kind) -> bool:
    if kind.plural == "services" and not kind.group:
        return len(name) <= 63 and _LABEL_1035.match(name) is not None
    if kind.plural == "namespaces":
        return len(name) <= 63 and _LABEL.match(name) is not None
    return len(name) <= 253 and _SUBDOMAIN.match(name) is not None


def is_deleting(body: Object) -> bool:
    """Whether a DELETE was accepted and something still holds the object."""
    return "deletionTimestamp" in body["metadata"]
