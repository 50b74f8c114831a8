"""A state directory keeps its secrets and ports, and lets nobody else read them."""

import stat
from pathlib import Path

import pytest

from postern_devcluster.stack import home as home_module
from postern_devcluster.stack.errors import StackError
from postern_devcluster.stack.home import SERVICES, StackHome


@pytest.fixture
def home(tmp_path: Path) -> StackHome:
    return StackHome(tmp_path / "state")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Ports that are free, in place of the machine's."""
    ports = set(range(100, 200))

    def choose(preferred: int | None, *, avoid: set[int]) -> int:
        return preferred if preferred in ports - avoid else min(ports - avoid)

    monkeypatch.setattr(home_module, "choose_port", choose)
    return ports


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_state_directory_is_the_one_that_postern_home_names(tmp_path: Path) -> None:
    assert StackHome.from_environment({"POSTERN_HOME": str(tmp_path)}).root == tmp_path
    assert StackHome.from_environment({}).root == Path.cwd() / ".postern"


def test_secrets_are_made_once_and_only_for_the_owner(home: StackHome) -> None:
    made = home.secrets()
    assert home.secrets() == made
    assert mode(home.root / "secrets.json") == 0o600
    assert len({made.postgres, made.rabbitmq, *(made.of_role(service) for service in SERVICES)}) == 6
    assert len(made.service_token_key.encode()) >= 32


def test_damaged_secrets_are_not_replaced_by_others(home: StackHome) -> None:
    home.secrets()
    (home.root / "secrets.json").write_text("{")
    with pytest.raises(StackError, match="damaged"):
        home.secrets()


def test_ports_are_kept_while_they_are_free(home: StackHome, free: set[int]) -> None:
    first = home.choose_ports(set())
    assert len(set(first.values())) == len(SERVICES) + 1
    assert home.choose_ports(set()) == first


def test_a_port_that_somebody_took_is_chosen_anew_and_the_others_stay(home: StackHome, free: set[int]) -> None:
    first = home.choose_ports(set())
    free.remove(first["audit"])
    second = home.choose_ports(set())
    assert second["audit"] != first["audit"]
    assert {**second, "audit": 0} == {**first, "audit": 0}


def test_a_running_process_keeps_its_port_though_it_is_taken_by_itself(home: StackHome, free: set[int]) -> None:
    first = home.choose_ports(set())
    free.difference_update(first.values())
    assert home.choose_ports({"gateway"})["gateway"] == first["gateway"]


def test_env_is_one_pair_a_line_and_private(home: StackHome) -> None:
    values = {"POSTERN_URL": "http://127.0.0.1:1", "POSTERN_DATABASE_URL": "postgresql://a:b@h/d?x=1&y=2"}
    home.write_env(values)
    assert home.env_file.read_text() == "".join(f"{key}={value}\n" for key, value in values.items())
    assert home.read_env() == values
    assert mode(home.env_file) == 0o600


def test_a_stack_that_was_never_started_says_so(home: StackHome) -> None:
    with pytest.raises(StackError) as error:
        home.read_env()
    assert error.value.next_step == "make up"


def test_two_commands_do_not_change_one_stack_at_the_same_time(home: StackHome) -> None:
    with home.locked(), pytest.raises(StackError, match="another command"), home.locked():
        pass
    with home.locked():
        pass
