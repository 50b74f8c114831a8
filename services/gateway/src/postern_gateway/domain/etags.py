"""Entity tags (RFC 9110 section 8.8) and the preconditions on them (semantics 20).

A database's representation holds its newest operation, so its tag holds both revisions; the tail of the id keeps a
database created again under the same name apart.
"""

import hashlib
import re

from postern_gateway.domain.problems import refuse
from postern_gateway.domain.records import DatabaseRecord, OperationRecord

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def database_etag(database: DatabaseRecord, operation: OperationRecord) -> str:
    """Moves with any visible change of the database or of its newest operation."""
    return f'"{database.id.hex[-8:]}-{database.revision}-{operation.generation}.{operation.revision}"'


def operation_etag(operation: OperationRecord) -> str:
    """Moves with every phase and with the end."""
    return f'"{operation.id.hex[-8:]}-{operation.revision}"'


def body_etag(body: bytes) -> str:
    """For what has no revision: the representation's own hash."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def parse_tags(header: str) -> list[tuple[bool, str]] | None:
    """``(weak, tag)`` of each member of If-Match or If-None-Match; None for ``*``. Raises ``ClientError`` 400."""
    if header.strip() == "*":
        return None
    tags = []
    for member in header.split(","):
        match = _TAG.fullmatch(member.strip())
        if match is None:
            raise refuse("malformed_request", "If-Match and If-None-Match take quoted entity tags or *")
        tags.append((match[1] is not None, match[2]))
    return tags


def check_if_match(header: str | None, current: str) -> None:
    """Raises 412 with the current tag unless ``header`` allows it; a weak tag never matches strongly."""
    if header is None:
        return
    tags = parse_tags(header)
    if tags is None or (False, current) in tags:
        return
    raise refuse("precondition_failed", "the resource has changed since it was read", headers={"ETag": current})


def is_unmodified(header: str | None, current: str) -> bool:
    """Whether If-None-Match says that the client has it already."""
    if header is None:
        return False
    tags = parse_tags(header)
    return tags is None or any(tag == current for _, tag in tags)
