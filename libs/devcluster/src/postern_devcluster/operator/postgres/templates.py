"""One initialised data directory per major version, copied for every new cluster: a copy takes a tenth of initdb."""

import asyncio
import shutil
from pathlib import Path

from postern_devcluster.operator.postgres.account import ServerAccount
from postern_devcluster.operator.postgres.binaries import Installations
from postern_devcluster.operator.postgres.tools import run_tool

_INITDB_SECONDS = 120.0
_COPY_SECONDS = 60.0


class TemplateCache:
    """Data directories nobody runs. A half-made one never counts: it gets its name when it is complete."""

    def __init__(self, root: Path, account: ServerAccount, installations: Installations) -> None:
        self._root = root
        self._account = account
        self._installations = installations
        self._lock = asyncio.Lock()

    async def copy(self, major: int, target: Path) -> None:
        """Fill ``target`` (must not exist) with fresh data of that major version."""
        template = await self.ensure(major)
        await run_tool(
            self._account,
            ["cp", "-a", "--reflink=auto", "--no-target-directory", str(template), str(target)],
            timeout=_COPY_SECONDS,
        )

    async def ensure(self, major: int) -> Path:
        """Return the template of a major version, made on first use."""
        template = self._root / str(major)
        async with self._lock:
            if template.is_dir():
                return template
            self._account.make_directory(self._root)
            draft = self._root / f".{major}.new"
            if draft.exists():
                await asyncio.to_thread(shutil.rmtree, draft)
            await run_tool(
                self._account,
                [
                    self._installations.program(major, "initdb"),
                    "--pgdata",
                    str(draft),
                    "--username",
                    "postgres",
                    "--auth",
                    "trust",
                    "--encoding",
                    "UTF8",
                    "--locale",
                    "C",
                    "--data-checksums",
                    "--no-sync",
                    "--no-instructions",
                ],
                timeout=_INITDB_SECONDS,
            )
            draft.rename(template)
            return template
