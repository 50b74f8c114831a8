"""What the ledger is told of a call holds no secret."""

from postern_gateway.services.recording import redact


def test_members_that_sound_secret_are_redacted_at_every_depth() -> None:
    diff = {
        "plan": ["a", "b"],
        "password": [None, "x"],
        "nested": {"api_key": "x", "list": [{"Secret": 1, "plain": 2}]},
        "token_ttl": 5,
    }
    assert redact(diff) == {
        "plan": ["a", "b"],
        "password": "[redacted]",
        "nested": {"api_key": "[redacted]", "list": [{"Secret": "[redacted]", "plain": 2}]},
        "token_ttl": "[redacted]",
    }
