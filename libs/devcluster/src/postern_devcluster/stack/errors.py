"""What stops a stack command, said to a person.

Separate so that every module can raise it without importing another.
"""

from postern_common.errors import PosternError


class StackError(PosternError):
    """A command could not do its work; ``next_step`` says what to do about it."""

    def __init__(self, code: str, detail: str, *, next_step: str) -> None:
        super().__init__(code, detail)
        self.next_step = next_step
