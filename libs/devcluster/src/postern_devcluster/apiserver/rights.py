"""Who may do what: three users, with the rule tables of the design (kubernetes.md, "Rights").

Separate so that a test can compare the tables with the manifests of the real ServiceAccounts.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from postern_devcluster.apiserver.kinds import CNPG

READ = ("get", "list")
WRITE = ("get", "list", "create", "patch", "delete")
WATCH = ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on resources of one API group; a subresource is written ``clusters/status``."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]

    def allows(self, verb: str, group: str, resource: str) -> bool:
        """Whether this rule alone allows a request."""
        return group == self.group and verb in self.verbs and resource in self.resources


RULES: Mapping[str, tuple[Rule, ...]] = {
    "provisioner": (
        Rule("", ("namespaces", "resourcequotas", "limitranges"), WRITE),
        Rule("networking.k8s.io", ("networkpolicies",), WRITE),
        Rule(CNPG, ("clusters", "poolers", "backups", "scheduledbackups", "databases", "databaseroles"), WRITE),
        Rule("monitoring.coreos.com", ("podmonitors",), WRITE),
        Rule("barmancloud.cnpg.io", ("objectstores",), WRITE),
        Rule(CNPG, ("clusters/status",), ("patch",)),
        Rule("", ("services", "secrets"), ("get",)),
        Rule("storage.k8s.io", ("storageclasses",), ("get",)),
    ),
    "watcher": (
        Rule(CNPG, ("clusters", "poolers", "backups"), WATCH),
        Rule("", ("pods", "persistentvolumeclaims", "events"), WATCH),
        Rule("", ("pods/log",), ("get",)),
    ),
}
_EVERYBODY = (Rule("authorization.k8s.io", ("selfsubjectaccessreviews",), ("create",)),)


class Rights:
    """Authenticates tokens and authorises requests. ``enforced=False`` lets every known token do everything."""

    def __init__(self, tokens: Mapping[str, str], *, enforced: bool = True) -> None:
        self._tokens = dict(tokens)
        self._enforced = enforced

    def user_of(self, authorization: str) -> str | None:
        """The user of an ``Authorization`` header; None for a missing or unknown credential."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        for user, known in self._tokens.items():
            if hmac.compare_digest(known.encode(), token.strip().encode()):
                return user
        return None

    def allows(self, user: str, verb: str, group: str, resource: str) -> bool:
        """Whether a user may do this; ``resource`` with its subresource."""
        if user == "admin" or not self._enforced:
            return True
        return any(rule.allows(verb, group, resource) for rule in (*RULES.get(user, ()), *_EVERYBODY))
