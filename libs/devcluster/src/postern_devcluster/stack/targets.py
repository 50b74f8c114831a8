"""Which servers and which cluster a stack uses: its own, or those that were named on the command line.

Separate and pure because the rule protects production: nothing here reads the environment (semantics 40).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from postern_devcluster.stack.errors import StackError

ADDRESS_MODES = ("service-dns", "cluster-ip", "load-balancer", "development")
ALL_VERSIONS = "14,15,16,17,18"
CLUSTER_MODES = {"processes": (), "simulated": ("--no-postgres",), "api-only": ("--no-operator",)}
"""How the development cluster makes databases, and the options of ``postern-devcluster serve`` for it."""


@dataclass(frozen=True, slots=True)
class Targets:
    """None means: the stack's own."""

    amqp_url: str | None = None
    database_url: str | None = None
    kubeconfig: str | None = None
    address_mode: str = "service-dns"
    """How clients reach databases of an own cluster; ``development`` is for one that the development cluster's operator
    half serves."""
    postgres_versions: str = ALL_VERSIONS
    """Majors that an own cluster can run, separated by commas."""
    cluster_mode: str = "processes"
    """One of ``CLUSTER_MODES``; measurements and tests want clusters without PostgreSQL processes."""

    @property
    def needs_postgres_programs(self) -> bool:
        """Whether PostgreSQL must be installed on this machine."""
        return self.database_url is None or self.kubeconfig is None


def check_targets(targets: Targets) -> Targets:
    """Return the targets with absolute paths; raises ``bad_target`` in words for what cannot work."""
    if targets.amqp_url is not None and urlsplit(targets.amqp_url).scheme not in {"amqp", "amqps"}:
        raise _bad("POSTERN_AMQP_URL", "must look like amqp://user:password@host:5672/vhost")
    if targets.database_url is not None:
        parts = urlsplit(targets.database_url)
        if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname or not parts.path.strip("/"):
            raise _bad("POSTERN_DATABASE_URL", "must look like postgresql://administrator:password@host:5432/database")
    if targets.address_mode not in ADDRESS_MODES:
        raise _bad("POSTERN_ADDRESS_MODE", f"must be one of {', '.join(ADDRESS_MODES)}")
    if not all(version.strip().isdigit() for version in targets.postgres_versions.split(",")):
        raise _bad("POSTERN_POSTGRES_VERSIONS", "must be majors separated by commas: 16,17,18")
    if targets.kubeconfig is None:
        return targets
    path = Path(targets.kubeconfig).expanduser().absolute()
    if not path.is_file():
        raise _bad("KUBECONFIG", f"names no file: {path}")
    return replace(targets, kubeconfig=str(path))


def role_url(administrator_url: str, service: str, password: str) -> str:
    """Return the URL of a service's own role: ``<database>_<service>`` at the administrator's address."""
    parts = urlsplit(administrator_url)
    role = f"{unquote(parts.path.strip('/'))}_{service}"
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{address}"))


def without_password(url: str) -> str:
    """Return a URL that may be shown: the password is left out."""
    parts = urlsplit(url)
    credentials, at, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials.partition(':')[0]}{at}{address}", query=""))


def _bad(variable: str, why: str) -> StackError:
    return StackError("bad_target", f"{variable} {why}", next_step=f"give it again: make up {variable}=…")
