"""The house rules find what they forbid, and leave the rest alone."""

from pathlib import Path

import pytest
from tools.lint.house_rules import look_at


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("libs/common/src/a.py", "async def f(m):\n    async with m.process():\n        pass\n", "no-process"),
        ("services/gateway/src/a.py", "def f(self):\n    self.session.commit()\n", "no-session-commit"),
        ("services/gateway/src/a.py", "def f(db_session):\n    db_session.commit()\n", "no-session-commit"),
        ("docs/a.md", "TODO: write this\n", "no-todo"),
        ("requirements/dev.txt", "--index-url https://pypi.example.org/simple\n", "no-index-address"),
        ("libs/common/src/postern_common/utils.py", "", "say-what-is-in-it"),
        ("libs/common/src/helpers/a.py", "", "say-what-is-in-it"),
    ],
)
def test_a_broken_rule_is_named(path: str, text: str, rule: str) -> None:
    assert [finding.rule for finding in look_at(Path(path), text)] == [rule]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("libs/common/src/a.py", "def f(server):\n    server.process.start()\n    transaction.commit()\n"),
        ("docs/a.md", "See https://www.rabbitmq.com/docs and the todo list of the user.\n"),
        ("tests/unit/test_a.py", "def f(session):\n    session.commit()\n"),
    ],
)
def test_what_is_allowed_is_not_found(path: str, text: str) -> None:
    assert list(look_at(Path(path), text)) == []
