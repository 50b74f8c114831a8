"""Which PostgreSQL major versions this machine can run, and where their programs are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from postern_devcluster.operator.postgres.errors import UnsupportedVersionError

_DISTRIBUTION_ROOT = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Installations:
    """Directories of programs by major version."""

    directories: Mapping[int, Path]

    @property
    def majors(self) -> tuple[int, ...]:
        """Installed major versions, ascending."""
        return tuple(sorted(self.directories))

    def program(self, major: int, name: str) -> str:
        """Return the path of a program. Raises UnsupportedVersionError when that major is not installed."""
        directory = self.directories.get(major)
        if directory is None:
            raise UnsupportedVersionError(
                "version_not_installed", f"PostgreSQL {major} is not installed on this machine"
            )
        return str(directory / name)


def find_installations(explicit: Path | None = None) -> Installations:
    """Look below /usr/lib/postgresql, or take one directory of programs whose major its parent directory names."""
    if explicit is not None:
        major = next((int(part) for part in reversed(explicit.parts) if part.isdigit()), None)
        if major is None or not (explicit / "postgres").exists():
            raise UnsupportedVersionError("version_unknown", f"no PostgreSQL programs of a known version in {explicit}")
        return Installations({major: explicit})
    found = {
        int(path.parent.name): path
        for path in _DISTRIBUTION_ROOT.glob("*/bin")
        if path.parent.name.isdigit() and (path / "postgres").exists() and (path / "initdb").exists()
    }
    return Installations(found)
