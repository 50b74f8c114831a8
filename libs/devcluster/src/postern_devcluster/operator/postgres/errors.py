"""Errors of local PostgreSQL work, apart so that pure and effectful modules raise the same ones."""

from postern_common.errors import PermanentError, TransientError


class ToolFailedError(TransientError):
    """A PostgreSQL program ended with an error or ran past its deadline."""


class InstanceStartError(TransientError):
    """The postmaster ended before it accepted connections; the cause is in its log."""


class UnsupportedVersionError(PermanentError):
    """No binaries of that major version are installed on this machine."""
