"""A private PostgreSQL server: found again, restarted, killed, and its rows are still there."""

import shutil
import socket
from pathlib import Path

import asyncpg
import pytest

from postern_devcluster.embedded import EmbeddedServerError, PostgresServer, StopOutcome, postgres

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]


def server_in(state: Path) -> PostgresServer:
    return PostgresServer(state, password="p w'/@", log_file=state / "postgres.log", durable=False)


def test_rows_survive_a_stop_and_a_kill(state: Path) -> None:
    server = server_in(state)
    server.start()
    server.execute("CREATE TABLE t (v text); INSERT INTO t VALUES ('kept')", database="postern")
    assert server.stop() is StopOutcome.STOPPED
    server.start()
    server.execute("INSERT INTO t VALUES ('also kept')", database="postern")
    server.kill()
    server.start()
    assert server.execute("SELECT v FROM t ORDER BY v", database="postern") == "also kept\nkept"


def test_a_running_server_is_found_again_and_not_started_twice(state: Path) -> None:
    first = server_in(state)
    url = first.start()
    second = server_in(state)
    assert second.start() == url
    assert second.process.pid == first.process.pid


def test_the_address_stays_while_its_port_is_free_and_changes_when_it_is_taken(state: Path) -> None:
    server = server_in(state)
    server.start()
    port = server.port
    server.stop()
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        server.start()
        assert server.port != port
    assert server.execute("SELECT 1") == "1"


def test_a_state_directory_that_was_removed_by_hand_does_not_stand_in_the_way_of_a_new_one(state: Path) -> None:
    server = server_in(state)
    server.start()
    server.stop()
    shutil.rmtree(state)
    state.mkdir()
    anew = PostgresServer(state, password="another", log_file=state / "postgres.log", durable=False)
    anew.start()
    assert anew.execute("SELECT 1") == "1"


async def test_nobody_gets_in_without_the_password(state: Path) -> None:
    server = server_in(state)
    server.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host="127.0.0.1", port=server.port, user="postern", password="guess", database="postern")
    assert "p w" not in server.process.log_file.read_text()


def test_a_missing_package_is_said_with_the_command_that_installs_it(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "INSTALLATIONS", tmp_path / "nothing")
    with pytest.raises(EmbeddedServerError) as error:
        server_in(state).start()
    assert error.value.code == "package_missing"
    assert "apt-get install postgresql" in error.value.next_step


def test_too_little_space_is_said_before_anything_is_written(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postern_devcluster.embedded.errors.MINIMUM_FREE_BYTES", 2**62)
    with pytest.raises(EmbeddedServerError) as error:
        server_in(state).start()
    assert error.value.code == "disk_full"
    assert "POSTERN_HOME" in error.value.next_step
    assert list(state.iterdir()) == []


def test_settings_that_the_server_refuses_are_told_from_its_log(state: Path) -> None:
    server = PostgresServer(
        state, password="p", log_file=state / "postgres.log", settings={"shared_buffers": "many"}, durable=False
    )
    with pytest.raises(EmbeddedServerError) as error:
        server.start()
    assert error.value.code == "server_failed"
    assert "shared_buffers" in error.value.detail
