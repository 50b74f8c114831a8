"""Where the files of one cluster lie on this machine, and how they are written."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from postern_devcluster.operator.domain.settings import (
    REPLICATION_ROLE,
    Placement,
    Upstream,
    render_access_rules,
    render_configuration,
    slot_name,
)
from postern_devcluster.operator.postgres.account import ServerAccount
from postern_devcluster.operator.postgres.statements import random_password
from postern_devcluster.operator.runtime import Certificates, Settings


@dataclass(frozen=True, slots=True)
class ClusterLayout:
    """``root`` and ``logs`` belong to one cluster's uid; ``sockets`` is shared, with a short directory per instance."""

    root: Path
    sockets: Path
    logs: Path
    """Logs lie in the state directory itself: the API server serves nothing from outside of it."""
    uid: str
    account: ServerAccount

    def instance(self, name: str) -> Path:
        """Directory of one instance."""
        return self.root / name

    def data(self, name: str) -> Path:
        """PGDATA of one instance; it exists only when it is complete."""
        return self.root / name / "pgdata"

    def log(self, name: str) -> Path:
        """Log of one instance."""
        return self.logs / f"{name}.log"

    def socket(self, name: str) -> Path:
        """Private socket directory of one instance."""
        return self.sockets / hashlib.sha256(f"{self.uid}/{name}".encode()).hexdigest()[:10]

    @property
    def passfile(self) -> Path:
        """libpq password file of the replication role."""
        return self.root / "replication.pass"

    def replication_password(self) -> str:
        """Return the replication role's password, made once for a cluster."""
        if not self.passfile.exists():
            self.account.make_directory(self.root)
            self.account.write(self.passfile, f"*:*:*:{REPLICATION_ROLE}:{random_password()}\n")
        return self.passfile.read_text(encoding="utf-8").strip().rsplit(":", 1)[1]

    def write_certificates(self, certificates: Certificates) -> None:
        """Write the cluster's certificate files."""
        directory = self.account.make_directory(self.account.make_directory(self.root) / "tls")
        self.account.write(directory / "ca.crt", certificates.ca_certificate)
        self.account.write(directory / "server.crt", certificates.certificate)
        self.account.write(directory / "server.key", certificates.key)

    def upstream(self, name: str, primary_address: str) -> Upstream:
        """Return what an instance needs to stream from the primary at that address."""
        return Upstream(
            host=primary_address,
            port=5432,
            passfile=str(self.passfile),
            root_certificate=str(self.root / "tls" / "ca.crt"),
            slot=slot_name(name),
        )

    def write_configuration(self, name: str, address: str, settings: Settings, primary_address: str | None) -> None:
        """Write an instance's configuration files; ``primary_address`` is None for the primary itself."""
        tls = self.root / "tls"
        placement = Placement(
            name=name,
            listen_address=address,
            socket_directory=str(self.socket(name)),
            certificate_file=str(tls / "server.crt"),
            key_file=str(tls / "server.key"),
            ca_file=str(tls / "ca.crt"),
        )
        upstream = None if primary_address is None else self.upstream(name, primary_address)
        data = self.data(name)
        self.account.write(data / "postgresql.conf", render_configuration(settings.parameters, placement, upstream))
        self.account.write(data / "pg_hba.conf", render_access_rules(settings.hba))

    def mark_standby(self, name: str, *, standby: bool) -> None:
        """Make the instance start as a standby, or as a primary."""
        marker = self.data(name) / "standby.signal"
        if standby:
            self.account.write(marker, "")
            # A former primary's slots would hold back WAL for standbys that now stream from another server.
            for slot in (self.data(name) / "pg_replslot").glob("*/"):
                shutil.rmtree(slot, ignore_errors=True)
        else:
            marker.unlink(missing_ok=True)

    def was_primary(self, name: str) -> bool:
        """Whether an instance with data last ran as a primary."""
        data = self.data(name)
        return (data / "PG_VERSION").exists() and not (data / "standby.signal").exists()

    def fresh_socket_directory(self, name: str) -> None:
        """Empty the socket directory: a killed server leaves a lock file whose pid may belong to another program."""
        directory = self.socket(name)
        shutil.rmtree(directory, ignore_errors=True)
        self.account.make_directory(directory)

    def delete(self, name: str | None = None) -> None:
        """Delete the files of one instance, or of the whole cluster."""
        names = [name] if name is not None else [path.name for path in self.root.glob("*/") if path.name != "tls"]
        for each in names:
            shutil.rmtree(self.socket(each), ignore_errors=True)
        if name is None:
            shutil.rmtree(self.logs, ignore_errors=True)
            shutil.rmtree(self.root, ignore_errors=True)
        else:
            self.log(name).unlink(missing_ok=True)
            shutil.rmtree(self.instance(name), ignore_errors=True)
