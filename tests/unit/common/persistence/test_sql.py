"""SQL is made from our constants only, and shards never move."""

import pytest
from sqlalchemy.exc import DBAPIError

from postern_common.errors import DependencyDownError, TransientError
from postern_common.persistence import grant_sql, messaging_tables_sql, shard_of, translate


@pytest.mark.parametrize("schema", ["a;b", "A", "", 'x"', "a b", "1a"])
def test_a_schema_that_is_no_plain_name_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        messaging_tables_sql(schema)
    with pytest.raises(ValueError, match="identifier"):
        grant_sql(schema, "SELECT")
    with pytest.raises(ValueError, match="identifier"):
        grant_sql("gateway", "SELECT", tables=[schema])


def test_the_shard_of_a_subject_is_the_same_for_ever() -> None:
    assert [shard_of(subject) for subject in ("", "a", "database-1", "0197b2c4")] == [0, 3, 0, 6]


class _DriverError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__()
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("40001", TransientError),
        ("40P01", TransientError),
        ("55P03", TransientError),
        ("57014", TransientError),
        ("08006", DependencyDownError),
        ("53300", DependencyDownError),
        ("53100", DependencyDownError),
        ("57P01", DependencyDownError),
        ("57P03", DependencyDownError),
        ("25006", DependencyDownError),
        ("23505", None),
        ("42601", None),
        ("22001", None),
    ],
)
def test_a_drivers_error_has_a_class_by_its_state(sqlstate: str, expected: type[Exception] | None) -> None:
    ours = translate(DBAPIError("SELECT", None, _DriverError(sqlstate)))
    assert type(ours) is (expected or type(None))


def test_silence_is_a_dependency_down() -> None:
    assert isinstance(translate(TimeoutError()), DependencyDownError)
    assert isinstance(translate(ConnectionRefusedError()), DependencyDownError)
    assert translate(ValueError()) is None
