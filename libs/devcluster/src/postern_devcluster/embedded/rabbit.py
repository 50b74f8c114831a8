"""A private RabbitMQ node: own name, cookie, data and ports, on loopback only, run by the caller.

Separate from PostgreSQL's server because nothing but the process handling is alike. The distribution's wrapper insists
on root or its own user; the server's own script below /usr/lib/rabbitmq does not. epmd is shared by all nodes of the
machine: it is started when missing and never stopped.
"""

import base64
import http.client
import json
import os
import re
import secrets
import socket
import time
import urllib.parse
from pathlib import Path

from postern_devcluster.embedded.errors import EmbeddedServerError, check_disk_space, explain_log, package_missing
from postern_devcluster.embedded.ports import choose_port
from postern_devcluster.embedded.processes import DetachedProcess, StopOutcome

INSTALLATIONS = Path("/usr/lib/rabbitmq/lib")
ADMINISTRATOR = "postern"
PORT_CHOICES = 3
"""Times that ports are chosen anew when somebody else takes one between the choice and the start."""

_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_CONNECTION_START = b"\x00\x0a\x00\x0a"


def server_script() -> Path:
    """Return the newest installed server script; raises ``package_missing``."""
    scripts = INSTALLATIONS.glob("rabbitmq_server-*/sbin/rabbitmq-server")
    newest = max(scripts, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parts[-3])], default=None)
    if newest is None:
        raise package_missing("RabbitMQ", "rabbitmq-server")
    return newest


class RabbitServer:
    """One node. ``start`` adopts it when it already runs; messages survive ``stop`` and ``kill``."""

    def __init__(self, directory: Path, *, password: str, log_directory: Path, management: bool = False) -> None:
        """``directory`` is the state directory; ``management`` adds the HTTP API (20 MiB, vhosts in 10 ms)."""
        self._home = directory / "rabbitmq"
        self._password = password
        self._logs = log_directory
        self._management = management
        self._identity = self._home / "node.json"
        self.process = DetachedProcess(
            "rabbitmq", pid_file=directory / "run" / "rabbitmq.pid", log_file=log_directory / "rabbitmq.log"
        )

    @property
    def port(self) -> int:
        """Port of the last start; raises ``server_not_started`` before the first one."""
        return int(self._known("port"))

    @property
    def url(self) -> str:
        """Address of the default vhost for the node's one user."""
        return self.url_of("/")

    def url_of(self, vhost: str) -> str:
        """Address of ``vhost``."""
        return f"amqp://{ADMINISTRATOR}:{self._password}@127.0.0.1:{self.port}/{urllib.parse.quote(vhost, safe='')}"

    def start(self, *, deadline: float = 90.0) -> str:
        """Start the node and wait until it speaks AMQP; return ``url``.

        Raises EmbeddedServerError: ``package_missing``, ``disk_full``, ``port_taken``, ``server_failed``.
        """
        end = time.monotonic() + deadline
        for _ in range(PORT_CHOICES - 1):
            try:
                return self._start_before(end)
            except EmbeddedServerError as error:
                if error.code != "port_taken":
                    raise  # somebody was quicker: the next start chooses other ports
        return self._start_before(end)

    def _start_before(self, end: float) -> str:
        if self.process.pid is None:
            check_disk_space(self._home)
            script = server_script()
            self._prepare()
            self.process.start([str(script), "-noinput"], environment=self._environment(), directory=self._home)
        while not self._speaks_amqp():
            if self.process.pid is None or time.monotonic() > end:
                code, detail, step = explain_log("RabbitMQ", self.process.log_file)
                raise EmbeddedServerError(code, detail, next_step=step)
            time.sleep(0.1)
        return self.url

    def stop(self, *, deadline: float = 30.0) -> StopOutcome:
        """SIGTERM: the node closes its queues and ends."""
        return self.process.stop(deadline=deadline)

    def kill(self) -> None:
        """SIGKILL; the next start recovers the queues."""
        self.process.kill()

    def create_vhost(self, name: str) -> str:
        """Make a vhost through the HTTP API (needs ``management``) and return its address; an existing one is fine."""
        quoted = urllib.parse.quote(name, safe="")
        self._call("PUT", f"/api/vhosts/{quoted}", {})
        self._call(
            "PUT", f"/api/permissions/{quoted}/{ADMINISTRATOR}", {"configure": ".*", "write": ".*", "read": ".*"}
        )
        return self.url_of(name)

    def delete_vhost(self, name: str) -> None:
        """Remove a vhost with its queues; a missing one is fine."""
        self._call("DELETE", f"/api/vhosts/{urllib.parse.quote(name, safe='')}", None)

    def _call(self, method: str, path: str, body: object | None) -> None:
        token = base64.b64encode(f"{ADMINISTRATOR}:{self._password}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", int(self._known("management_port")), timeout=10)
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body),
                headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
            )
            status = connection.getresponse().status
        finally:
            connection.close()
        if status >= 400 and not (method == "DELETE" and status == 404):
            raise EmbeddedServerError(
                "server_failed", f"RabbitMQ answered {status} to {method} {path}", next_step=f"read {self._logs}"
            )

    def _known(self, key: str) -> str:
        try:
            return str(json.loads(self._identity.read_text())[key])
        except (OSError, ValueError, KeyError):
            raise EmbeddedServerError(
                "server_not_started", "RabbitMQ was not started yet", next_step="make up"
            ) from None

    def _prepare(self) -> None:
        """Write the node's files; name and cookie are made once, ports are kept while they are free."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        known = json.loads(self._identity.read_text()) if self._identity.exists() else {}
        identity = {"node": known.get("node", f"postern-{secrets.token_hex(5)}@localhost")}
        taken: list[int] = []
        for key in ("port", "distribution_port", "management_port"):
            taken.append(choose_port(known.get(key), avoid=taken))
            identity[key] = taken[-1]
        _write(self._identity, json.dumps(identity), 0o600)
        cookie = self._home / ".erlang.cookie"
        if not cookie.exists():
            _write(cookie, secrets.token_hex(16), 0o400)
        _write(self._home / "rabbitmq.conf", self._configuration(identity), 0o600)
        plugins = "[rabbitmq_management].\n" if self._management else "[].\n"
        _write(self._home / "enabled_plugins", plugins, 0o600)
        _write(self._home / "environment", "", 0o600)

    def _configuration(self, identity: dict[str, object]) -> str:
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{identity['port']}",
            f"default_user = {ADMINISTRATOR}",
            f"default_pass = {self._password}",
            "log.console = false",
            "log.file = rabbitmq-node.log",
            "log.file.level = info",
            "log.file.rotation.size = 10485760",
            "log.file.rotation.count = 2",
            # The write-ahead log lives in memory, too; its default of 512 MiB is for servers of their own.
            "raft.wal_max_size_bytes = 67108864",
        ]
        if self._management:
            lines += [
                "management.tcp.ip = 127.0.0.1",
                f"management.tcp.port = {identity['management_port']}",
                "management_agent.disable_metrics_collector = true",
                "management.disable_stats = true",
            ]
        return "\n".join(lines) + "\n"

    def _environment(self) -> dict[str, str]:
        """Return the node's whole environment: none of a developer's ``RABBITMQ_*`` reaches it."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self._home),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": str(self._home / "erl_crash.dump"),
            # Replaces the script's shell by the virtual machine: one process, SIGTERM reaches it.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_CONF_ENV_FILE": str(self._home / "environment"),
            "RABBITMQ_CONFIG_FILE": str(self._home / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": self._known("distribution_port"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._home / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(self._logs),
            "RABBITMQ_MNESIA_BASE": str(self._home / "mnesia"),
            "RABBITMQ_NODENAME": self._known("node"),
            "RABBITMQ_NODE_PORT": self._known("port"),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwtdcpu none"
            " +sbwtdio none",
        }

    def _speaks_amqp(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=3) as connection:
                connection.sendall(_PROTOCOL_HEADER)
                return _CONNECTION_START in connection.recv(64)
        except OSError:
            return False


def _write(path: Path, text: str, mode: int) -> None:
    partial = path.with_name(f"{path.name}.new")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    partial.write_text(text)
    partial.chmod(mode)
    partial.replace(path)
