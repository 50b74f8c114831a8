"""A private PostgreSQL server: one data directory, one loopback port, password authentication, no Unix socket.

Separate from the development cluster's instances, which stand for CloudNativePG's: this one is the control plane's own.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from postern_devcluster.embedded.accounts import ServerAccount
from postern_devcluster.embedded.errors import EmbeddedServerError, check_disk_space, explain_log, package_missing
from postern_devcluster.embedded.ports import choose_port
from postern_devcluster.embedded.processes import DetachedProcess, StopOutcome

INSTALLATIONS = Path("/usr/lib/postgresql")
ADMINISTRATOR = "postern"
_LOOPBACK_ONLY = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}

LEAN: Mapping[str, str] = {"max_connections": "120", "shared_buffers": "64MB", "max_wal_size": "256MB"}
"""For a machine that runs a whole stack; durability settings stay PostgreSQL's own."""

FOR_TESTS: Mapping[str, str] = {
    "max_connections": "300",
    "shared_buffers": "128MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
}
"""Never for data that somebody wants to keep."""


def installed_versions() -> dict[int, Path]:
    """Return the installed majors and their program directories, oldest first."""
    found = {
        int(directory.name): directory / "bin"
        for directory in INSTALLATIONS.glob("*")
        if directory.name.isdigit() and (directory / "bin" / "initdb").exists()
    }
    return dict(sorted(found.items()))


class PostgresServer:
    """One server. ``start`` adopts it when it already runs; data survive ``stop`` and ``kill``."""

    def __init__(
        self,
        directory: Path,
        *,
        password: str,
        log_file: Path,
        database: str = "postern",
        settings: Mapping[str, str] = LEAN,
        durable: bool = True,
    ) -> None:
        """``directory`` is the state directory: data go to its ``postgres`` (or where root has to put them)."""
        self._state = directory
        self._password = password
        self._database = database
        self._settings = dict(settings)
        self._durable = durable
        self._ports = directory / "postgres.json"
        self.process = DetachedProcess("postgres", pid_file=directory / "run" / "postgres.pid", log_file=log_file)

    @property
    def port(self) -> int:
        """Port of the last start; raises ``server_not_started`` before the first one."""
        try:
            return int(json.loads(self._ports.read_text())["port"])
        except (OSError, ValueError, KeyError):
            raise EmbeddedServerError(
                "server_not_started", "PostgreSQL was not started yet", next_step="make up"
            ) from None

    @property
    def url(self) -> str:
        """Address of the administrator's connection to the control plane's database."""
        return self.url_of(self._database)

    def url_of(self, database: str) -> str:
        """Address of the administrator's connection to ``database``."""
        return f"postgresql://{ADMINISTRATOR}:{self._password}@127.0.0.1:{self.port}/{database}"

    def start(self, *, deadline: float = 60.0) -> str:
        """Make the data directory where missing, start and wait for a connection; return ``url``.

        Raises EmbeddedServerError: ``package_missing``, ``disk_full``, ``port_taken``, ``server_failed``.
        """
        if self.process.pid is None:
            check_disk_space(self._state)
            account = ServerAccount.current()
            data = account.private_directory(self._state, "postgres") / "data"
            programs = self._programs(data)
            self._initialise(account, programs, data)
            self._run(account, programs, data, time.monotonic() + deadline)
        else:
            self._wait_ready(self._programs(self._state / "postgres" / "data"), time.monotonic() + deadline)
        return self.url

    def stop(self, *, deadline: float = 30.0) -> StopOutcome:
        """Fast shutdown (SIGINT: sessions end, a checkpoint is written)."""
        return self.process.stop(deadline=deadline, first=signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL the postmaster; its backends end by themselves, the next start recovers."""
        self.process.kill()

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run SQL as the administrator outside a transaction; return the unaligned output."""
        programs = self._programs(self._state / "postgres" / "data")
        result = _run_to_end(
            [str(programs / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql],
            timeout=60,
            PGHOST="127.0.0.1",
            PGPORT=str(self.port),
            PGUSER=ADMINISTRATOR,
            PGPASSWORD=self._password,
            PGCONNECT_TIMEOUT="5",
        )
        if result.returncode != 0:
            raise EmbeddedServerError(
                "sql_failed", f"PostgreSQL refused a statement: {result.stderr.strip()}", next_step="make logs"
            )
        return result.stdout.strip()

    def _programs(self, data: Path) -> Path:
        versions = installed_versions()
        if not versions:
            raise package_missing("PostgreSQL", "postgresql")
        try:
            made_by = int((data / "PG_VERSION").read_text())
        except FileNotFoundError:
            return versions[max(versions)]
        if made_by not in versions:
            raise package_missing(f"PostgreSQL {made_by}, which made the data in {data},", f"postgresql-{made_by}")
        return versions[made_by]

    def _initialise(self, account: ServerAccount, programs: Path, data: Path) -> None:
        if (data / "PG_VERSION").exists():
            return
        partial = data.with_name(f"new-{secrets.token_hex(4)}")
        password_file = data.with_name(f"pw-{secrets.token_hex(4)}")
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        os.chown(password_file, account.uid, account.gid)
        command = [
            *(str(programs / "initdb"), f"--pgdata={partial}", f"--username={ADMINISTRATOR}"),
            *("--auth=scram-sha-256", f"--pwfile={password_file}"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"),
            *(() if self._durable else ("--no-sync",)),
        ]
        try:
            result = _run_to_end(account.command(*command), timeout=120)
        finally:
            password_file.unlink()
        if result.returncode != 0:
            self.process.log_file.parent.mkdir(parents=True, exist_ok=True)
            self.process.log_file.write_text(result.stdout + result.stderr)
            code, detail, step = explain_log("PostgreSQL's initdb", self.process.log_file)
            raise EmbeddedServerError(code, detail, next_step=step)
        partial.rename(data)

    def _run(self, account: ServerAccount, programs: Path, data: Path, end: float) -> None:
        preferred = self.port if self._ports.exists() else None
        while True:
            port = choose_port(preferred)
            _write_private(self._ports, json.dumps({"port": port}))
            mark = self._log_size()
            settings = {**_LOOPBACK_ONLY, **self._settings, "port": str(port)}
            options = [f"--{key}={value}" for key, value in settings.items()]
            self.process.start(
                account.command(str(programs / "postgres"), "-D", str(data), *options),
                environment=_environment(),
                directory=Path("/"),
            )
            if self._wait_ready(programs, end):
                break
            preferred = self._after_early_exit(mark, end, port)
        self._make_database()

    def _after_early_exit(self, mark: int, end: float, port: int) -> int | None:
        """Decide whether to try again and on which port; raises when the reason is not one that passes."""
        text = self.process.log_file.read_bytes()[mark:].decode(errors="replace")
        if time.monotonic() < end:
            if re.search(r"Address already in use|could not bind", text):
                return None
            if re.search(r"shared memory block|lock file .* already exists", text):
                # The backends of a killed postmaster are still ending.
                time.sleep(0.2)
                return port
        code, detail, step = explain_log("PostgreSQL", self.process.log_file)
        raise EmbeddedServerError(code, detail, next_step=step)

    def _wait_ready(self, programs: Path, end: float) -> bool:
        """Wait until a connection is accepted; False when the process ended before that."""
        probe = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "3"]
        while _run_to_end(probe, timeout=10).returncode != 0:
            if self.process.pid is None:
                return False
            if time.monotonic() > end:
                code, detail, step = explain_log("PostgreSQL", self.process.log_file)
                raise EmbeddedServerError(code, detail, next_step=step)
            time.sleep(0.05)
        return self.process.pid is not None

    def _make_database(self) -> None:
        exists = self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{self._database}'")  # noqa: S608 (our own name)
        if not exists:
            self.execute(f'CREATE DATABASE "{self._database}"')

    def _log_size(self) -> int:
        return self.process.log_file.stat().st_size if self.process.log_file.exists() else 0


def _run_to_end(command: Sequence[str], *, timeout: float, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**_environment(), **variables},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".new")
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)
