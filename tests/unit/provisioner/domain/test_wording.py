"""Refusals say why, with the names that the user knows."""

import pytest
from tests.unit.provisioner.commands import target

from postern_provisioner.domain.wording import MAX_WORDS, words_of_failure

IDENTITY = target().identity


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        (
            'refused: admission webhook "w" denied the request: Cluster.cnpg.io "orders-abc123" is invalid: spec: no',
            "Kubernetes refused the change: spec: no",
        ),
        (
            'refused: clusters.postgresql.cnpg.io "orders-abc123" is forbidden: exceeded quota in postern-acme',
            'Kubernetes refused the change: clusters.postgresql.cnpg.io "orders" is forbidden: exceeded quota in acme',
        ),
        (
            "refused: admission webhook denied the request: no",
            "Kubernetes refused the change: no",
        ),
    ],
)
def test_a_refusal_names_the_database_and_the_reason(detail: str, words: str) -> None:
    assert words_of_failure("admission_denied", detail, IDENTITY) == words


def test_a_refusal_stays_short() -> None:
    assert len(words_of_failure("manifest_rejected", "refused: " + "x" * 1000, IDENTITY)) == MAX_WORDS


def test_our_own_words_stay() -> None:
    ours = "Cluster orders-abc123 exists and belongs to somebody else"
    assert words_of_failure("name_conflict", ours, IDENTITY) == ours
