"""What a user reads of a refusal: our words and names around the part that says why, pure.

Separate from the retry table because it needs to know whose objects were refused: users know their database, not the
Cluster and the namespace that stand for it.
"""

import re

from postern_common.contracts.reasons import Reason
from postern_provisioner.domain.target import DatabaseIdentity

MAX_WORDS = 400
PREFIX = "Kubernetes refused the change: "

_REFUSALS = frozenset({Reason.ADMISSION_DENIED, Reason.MANIFEST_REJECTED})
_OPENINGS = (
    re.compile(r"refused: "),
    re.compile(r'admission webhook (?:"[^"]*" )?denied the request: '),
    re.compile(r'[A-Za-z0-9.]+ "[^"]*" is invalid: '),
)


def words_of_failure(code: str, detail: str, identity: DatabaseIdentity) -> str:
    """``detail`` for the one who asked; other failures than refusals are worded by us already.

    At most ``MAX_WORDS`` characters; the text of a webhook is not trusted beyond being shown.
    """
    if code not in _REFUSALS:
        return detail
    for opening in _OPENINGS:
        match = opening.match(detail)
        detail = detail[match.end() :] if match is not None else detail
    detail = detail.replace(identity.cluster_name, identity.name).replace(identity.namespace, identity.project)
    words = PREFIX + detail
    return words if len(words) <= MAX_WORDS else words[: MAX_WORDS - 1] + "…"
