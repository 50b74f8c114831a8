"""Kubeconfig files and the tokens in them: one for an administrator, one each for provisioner and watcher."""

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec

from postern_devcluster.apiserver.tls import write_private

USERS = ("admin", "provisioner", "watcher")


@dataclass(frozen=True, slots=True)
class Kubeconfigs:
    """Paths of the written files."""

    admin: Path
    provisioner: Path
    watcher: Path


def ensure_tokens(path: Path) -> dict[str, str]:
    """Bearer tokens by user; made once, kept over restarts."""
    if path.exists():
        known: dict[str, str] = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        if all(known.get(user) for user in USERS):
            return known
    tokens = {user: secrets.token_urlsafe(32) for user in USERS}
    write_private(path, msgspec.json.encode(tokens))
    return tokens


def write_kubeconfigs(directory: Path, *, url: str, ca: Path, tokens: dict[str, str]) -> Kubeconfigs:
    """Write the three files into ``directory``."""
    authority = base64.b64encode(ca.read_bytes()).decode()
    paths = Kubeconfigs(
        directory / "kubeconfig", directory / "provisioner.kubeconfig", directory / "watcher.kubeconfig"
    )
    for user, path in zip(USERS, (paths.admin, paths.provisioner, paths.watcher), strict=True):
        write_private(path, _render(url, authority, user, tokens[user]))
    return paths


def _render(url: str, authority: str, user: str, token: str) -> bytes:
    cluster = "postern-devcluster"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user, "namespace": "default"}}],
        "current-context": cluster,
    }
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"
