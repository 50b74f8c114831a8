"""Composition root of ``postern-audit verify``: apart from the service's, as it needs neither broker nor web server."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from postern_audit.services.verification import Report, VerificationService
from postern_audit.settings import CheckpointSettings
from postern_audit.storage.checkpoints import CheckpointFile, load_public_keys
from postern_audit.storage.ledger_reader import LedgerReader
from postern_common.persistence import create_engine


def find_keys(given: Sequence[Path] | None, settings: CheckpointSettings) -> dict[str, Ed25519PublicKey]:
    """The keys given, else the service's own where it can be read. Raises ``PermanentError`` for an unusable one."""
    if given:
        return load_public_keys(given)
    if settings.checkpoint_key_file is not None:
        return load_public_keys([settings.checkpoint_key_file])
    public = settings.generated_key.with_name(f"{settings.generated_key.name}.pub")
    return load_public_keys([public] if public.exists() else [])


async def verify_ledger(
    url: str,
    *,
    file: Path,
    keys: Mapping[str, Ed25519PublicKey],
    first: int,
    last: int | None,
    progress: Callable[[int, int], None],
) -> Report:
    """Read the checkpoints, then walk the ledger. Errors as of ``VerificationService.verify``."""
    checkpoints, unreadable = await asyncio.to_thread(CheckpointFile(file).read)
    engine = create_engine(url, application_name="postern-audit-verify", pool_size=1)
    try:
        service = VerificationService(
            LedgerReader(engine), checkpoints, keys, unreadable_lines=unreadable, progress=progress
        )
        return await service.verify(first=first, last=last)
    finally:
        await engine.dispose()
