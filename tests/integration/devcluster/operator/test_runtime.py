"""One suite for both runtimes: what steps rely on holds for real servers and for simulated ones."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.integration.devcluster.operator.clusters import eventually, newest_major

from postern_devcluster.operator.certificates import issue, make_authority
from postern_devcluster.operator.network.addresses import AddressBook, bindable
from postern_devcluster.operator.network.proxy import ServiceProxy
from postern_devcluster.operator.postgres.host import PostgresHost
from postern_devcluster.operator.runtime import Certificates, ClusterIdentity, ClusterRuntime, Host, Settings
from postern_devcluster.operator.simulation import SimulatedHost

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def state_dir() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="postern-runtime-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def certificates() -> Certificates:
    authority = make_authority("pg")
    server = issue(authority, "pg-rw", names=["pg-rw"])
    return Certificates(authority.certificate, server.certificate, server.key)


@pytest.fixture(params=["postgres", "simulated"])
async def runtime(
    request: pytest.FixtureRequest, state_dir: Path, certificates: Certificates
) -> AsyncIterator[ClusterRuntime]:
    host: Host = PostgresHost(state_dir) if request.param == "postgres" else SimulatedHost()
    cluster = host.cluster(ClusterIdentity("team", "pg", "uid"), lambda: None)
    await cluster.configure(Settings(max(host.majors)), certificates)
    yield cluster
    await cluster.destroy()


def data_inode(state_dir: Path, instance: str) -> int:
    return (state_dir / "postgres/clusters/uid" / instance / "pgdata").stat().st_ino


async def test_a_cluster_lives_through_its_changes(runtime: ClusterRuntime) -> None:
    await runtime.initialise("pg-1")
    await runtime.start("pg-1", "pg-1")
    await runtime.prepare("pg-1", database="app", owner="app", password="first")
    await runtime.clone("pg-2", "pg-1")
    await runtime.start("pg-2", "pg-1")
    one, two = runtime.instances["pg-1"], runtime.instances["pg-2"]
    assert (one.ready, one.standby, two.ready, two.standby) == (True, False, True, True)
    assert one.system_id == two.system_id != ""
    await runtime.sync_slots("pg-1", ["pg-2"])
    assert await runtime.position("pg-2") >= 0
    await runtime.stop("pg-1")
    assert not one.ready
    await runtime.promote("pg-2")
    assert (two.standby, two.timeline) == (False, 2)
    await runtime.start("pg-1", "pg-2")
    assert (one.ready, one.standby) == (True, True)
    await runtime.remove("pg-1")
    assert "pg-1" not in runtime.instances
    assert await runtime.reload("pg-2", "pg-2") == []


@pytest.mark.parametrize("runtime", ["postgres"], indirect=True)
async def test_a_standby_that_has_not_replayed_a_lower_setting_starts_and_gets_it_later(
    runtime: ClusterRuntime, certificates: Certificates
) -> None:
    major = newest_major()
    await runtime.initialise("pg-1")
    await runtime.start("pg-1", "pg-1")
    await runtime.prepare("pg-1", database="app", owner="app", password="first")
    await runtime.clone("pg-2", "pg-1")
    await runtime.start("pg-2", "pg-1")
    one, two = runtime.instances["pg-1"], runtime.instances["pg-2"]
    await runtime.stop("pg-1")
    await runtime.stop("pg-2")
    await runtime.configure(Settings(major, {"max_connections": "30", "max_worker_processes": "4"}), certificates)
    await runtime.start("pg-2", "pg-1")
    assert (two.ready, two.held, two.pending_restart) == (True, True, False), "its primary is not there to replay from"
    await runtime.release_held("pg-1")
    assert (two.held, two.pending_restart) == (True, False)
    await runtime.start("pg-1", "pg-1")
    assert not one.held

    async def released() -> bool:
        await runtime.release_held("pg-1")
        return two.pending_restart and not two.held

    await eventually(released)
    await runtime.stop("pg-2")
    await runtime.start("pg-2", "pg-1")
    assert (two.ready, two.held, two.pending_restart) == (True, False, False)


@pytest.mark.parametrize("runtime", ["postgres"], indirect=True)
async def test_a_former_primary_follows_the_new_one_without_being_cloned(
    runtime: ClusterRuntime, state_dir: Path
) -> None:
    await runtime.initialise("pg-1")
    await runtime.start("pg-1", "pg-1")
    await runtime.prepare("pg-1", database="app", owner="app", password="first")
    await runtime.clone("pg-2", "pg-1")
    await runtime.start("pg-2", "pg-1")
    await runtime.stop("pg-1")
    await runtime.promote("pg-2")
    before = data_inode(state_dir, "pg-1")
    await runtime.start("pg-1", "pg-2")
    assert runtime.instances["pg-1"].standby
    assert data_inode(state_dir, "pg-1") == before, "a clone would have replaced its data"


async def test_two_state_directories_never_share_an_address(state_dir: Path) -> None:
    registry = state_dir / "registry"
    books = []
    for name in ("one", "two"):
        (state_dir / name).mkdir()
        books.append(AddressBook(state_dir / name, registry=registry))
    addresses = [book.assign(f"uid/pg-{number}") for book in books for number in range(3)]
    assert len(set(addresses)) == 6
    again = AddressBook(state_dir / "one", registry=registry)
    assert again.assign("uid/pg-0") == addresses[0], "an address survives a restart"
    again.release("uid/pg-0")
    assert again.assign("uid/other") == addresses[0]


async def test_a_service_follows_its_endpoints_and_ends_half_closed_connections_cleanly(state_dir: Path) -> None:
    book = AddressBook(state_dir)
    service, backend = book.assign("uid/-rw"), book.assign("uid/pg-1")

    begun = ended = 0

    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun, ended
        begun += 1
        writer.write(b"heard " + await reader.read())
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended += 1

    server = await asyncio.start_server(answer_at_the_end, backend, 5432)
    proxy = ServiceProxy(service, 5432)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(service, 5432)
    await proxy.set_endpoints([backend])
    reader, writer = await asyncio.open_connection(service, 5432)
    writer.write(b"x" * 1_000_000)
    writer.write_eof()
    assert len(await reader.read()) == 1_000_006
    writer.close()
    await writer.wait_closed()
    reader, writer = await asyncio.open_connection(service, 5432)
    writer.write(b"x")
    await eventually(lambda: begun == 2)
    await proxy.set_endpoints([])
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await eventually(lambda: ended == 2)
    await eventually(lambda: bindable(service))
    server.close()
    await server.wait_closed()
    await proxy.close()
