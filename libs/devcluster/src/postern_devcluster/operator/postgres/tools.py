"""Runs the short programs (initdb, cp, pg_basebackup, pg_rewind) with a deadline; none survives its caller."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from postern_devcluster.operator.postgres.account import ServerAccount
from postern_devcluster.operator.postgres.errors import ToolFailedError

_LONGEST_DETAIL = 600


async def run_tool(
    account: ServerAccount,
    argv: Sequence[str],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a program as the server account and return its output.

    Raises ToolFailedError with the tail of its output when it fails or is not done within ``timeout`` seconds.
    """
    process = await asyncio.create_subprocess_exec(
        *account.prefix,
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **(environment or {})},
        cwd=cwd or Path("/"),
    )
    try:
        async with asyncio.timeout(timeout):
            output, _ = await process.communicate()
    except TimeoutError:
        raise ToolFailedError("tool_timed_out", f"{Path(argv[0]).name} took longer than {timeout:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    text = output.decode(errors="replace").strip()
    if process.returncode != 0:
        raise ToolFailedError("tool_failed", f"{Path(argv[0]).name}: {text[-_LONGEST_DETAIL:]}")
    return text
