"""State directories whose servers end with the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from postern_devcluster.embedded import DetachedProcess
from postern_devcluster.embedded.accounts import remove_state


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory; whatever still runs in it afterwards is killed, all its data are removed."""
    directory = tmp_path / "state"
    directory.mkdir()
    yield directory
    for pid_file in (directory / "run").glob("*.pid"):
        DetachedProcess(pid_file.stem, pid_file=pid_file, log_file=directory / "log").kill()
    remove_state(directory)
