"""The state directory: where everything lies, the secrets made once, the ports kept across restarts.

Separate because every command reads it. Files that hold a secret or an address with one have mode 0600.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from postern_devcluster.embedded import choose_port
from postern_devcluster.stack.errors import StackError

SERVICES = ("gateway", "provisioner", "watcher", "audit")
PROCESSES = ("postgres", "rabbitmq", "cluster", *SERVICES)
"""Everything that a stack may run, in the order of its start."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made at the first start and kept: data on disk were made with them."""

    postgres: str
    rabbitmq: str
    gateway: str
    provisioner: str
    watcher: str
    audit: str
    service_token_key: str
    bootstrap_token: str

    @classmethod
    def make(cls) -> Self:
        """Return fresh ones: 256 bits each, safe in a URL."""
        return cls(**{field.name: secrets.token_urlsafe(32) for field in fields(cls)})

    def of_role(self, service: str) -> str:
        """Password of a service's database role."""
        return str(asdict(self)[service])


@dataclass(frozen=True, slots=True)
class StackHome:
    """A state directory (absolute) and the places in it."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """``POSTERN_HOME``, else ``.postern`` in the working directory."""
        return cls(Path(environment.get("POSTERN_HOME") or ".postern").expanduser().absolute())

    @property
    def logs(self) -> Path:
        """Where every process writes its log."""
        return self.root / "logs"

    @property
    def env_file(self) -> Path:
        """Addresses and credentials for users and their scripts."""
        return self.root / "env"

    @property
    def cluster(self) -> Path:
        """State directory of the development cluster."""
        return self.root / "cluster"

    def pid_file(self, process: str) -> Path:
        """Pid file of a process."""
        return self.root / "run" / f"{process}.pid"

    def log_file(self, process: str) -> Path:
        """Log file of a process."""
        return self.logs / f"{process}.log"

    def secrets(self) -> Secrets:
        """Return the secrets, made at the first call."""
        path = self.root / "secrets.json"
        if not path.exists():
            made = Secrets.make()
            write_private(path, json.dumps(asdict(made), indent=2) + "\n")
            return made
        try:
            return Secrets(**json.loads(path.read_text()))
        except (ValueError, TypeError):
            raise StackError(
                "secrets_unreadable",
                f"{path} is damaged; the data of this stack were made with the secrets in it",
                next_step="put the file back from a copy, or start anew: make clean-data",
            ) from None

    def ports(self) -> dict[str, int]:
        """Return the ports of the last start, by process."""
        try:
            known = json.loads((self.root / "ports.json").read_text())
        except (OSError, ValueError):
            return {}
        return {str(name): int(port) for name, port in known.items()}

    def choose_ports(self, running: set[str]) -> dict[str, int]:
        """Return a port for each service and the cluster: the last one while it is free or ``running`` holds it."""
        known = self.ports()
        chosen: dict[str, int] = {name: known[name] for name in running if name in known}
        for name in ("cluster", *SERVICES):
            if name not in chosen:
                chosen[name] = choose_port(known.get(name), avoid=set(chosen.values()))
        write_private(self.root / "ports.json", json.dumps(chosen, indent=2) + "\n")
        return chosen

    def write_env(self, values: Mapping[str, str]) -> None:
        """Write ``env``: one KEY=value a line, as it stands (no quoting)."""
        write_private(self.env_file, "".join(f"{key}={value}\n" for key, value in values.items()))

    def read_env(self) -> dict[str, str]:
        """Read ``env``; raises StackError when no stack was started."""
        if not self.env_file.exists():
            raise StackError("not_started", f"no stack was started in {self.root} yet", next_step="make up")
        lines = self.env_file.read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let one command at a time change the stack; raises ``busy`` when another one does."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(
                    "busy",
                    f"another command is starting or stopping the stack in {self.root}",
                    next_step="wait until it is done, then run yours again; make status shows where it stands",
                ) from None
            yield


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.new")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 (mode)
        file.write(text)
    partial.replace(path)
