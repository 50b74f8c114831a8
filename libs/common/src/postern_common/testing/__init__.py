"""Fakes that live beside their ports and pass the same contract suites."""

from postern_common.testing.broker import FakeBroker, FakePublisher
from postern_common.testing.dead_letters import DeadLetter, FakeDeadLetters

__all__ = ["DeadLetter", "FakeBroker", "FakeDeadLetters", "FakePublisher"]
