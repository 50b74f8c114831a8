"""Settings of the audit service: environment variables with the prefix ``POSTERN_``."""

from pathlib import Path

from postern_common.settings import DatabaseSettings, ServiceSettings


class CheckpointSettings(DatabaseSettings):
    """Where the checkpoints and their key lie; shared by ``serve``, which writes, and ``verify``, which reads."""

    state_directory: Path = Path(".postern/audit")
    """``POSTERN_STATE_DIRECTORY``: home of the key and the checkpoint file unless they are set themselves."""
    checkpoint_file: Path | None = None
    """``POSTERN_CHECKPOINT_FILE``: append-only JSON lines; put it where the database's administrators cannot write."""
    checkpoint_key_file: Path | None = None
    """``POSTERN_CHECKPOINT_KEY_FILE``: Ed25519 private key, PEM; when not set, one is made in the state directory."""

    @property
    def checkpoints(self) -> Path:
        """The checkpoint file."""
        return self.checkpoint_file or self.state_directory / "checkpoints.jsonl"

    @property
    def generated_key(self) -> Path:
        """Where a key is made when none was given."""
        return self.state_directory / "checkpoint-key.pem"


class AuditSettings(ServiceSettings, CheckpointSettings):
    """What ``serve`` needs."""


class VerifySettings(CheckpointSettings):
    """What ``verify`` needs; the database role may be any that can select from the ledger."""
