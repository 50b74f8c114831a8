"""Leader leases: one row per name, by the database's clock (semantics 11a, 28).

A lease only reduces duplicate work. The safety argument is the epoch in the transactions of its holder.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.persistence.transactions import open_transaction


class LeaseStore:
    """The lease ``name`` as seen by ``owner`` (a string that is unique per process)."""

    def __init__(self, engine: AsyncEngine, schema: str, name: str, *, owner: str, ttl: float = 15.0) -> None:
        self._engine = engine
        self._values = {"name": name, "owner": owner, "ttl": ttl}
        table = f"{schema}.leases"
        self._acquire = text(
            f"INSERT INTO {table} AS l (name, owner, epoch, expires_at)"  # noqa: S608
            " VALUES (:name, :owner, 1, clock_timestamp() + make_interval(secs => :ttl))"
            " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at,"
            " epoch = l.epoch + CASE WHEN l.owner = excluded.owner AND l.expires_at > clock_timestamp()"
            " THEN 0 ELSE 1 END"
            " WHERE l.owner = excluded.owner OR l.expires_at <= clock_timestamp() RETURNING epoch"
        )
        self._release = text(f"UPDATE {table} SET expires_at = '-infinity' WHERE name = :name AND owner = :owner")  # noqa: S608

    async def acquire(self) -> int | None:
        """Take the lease, or renew it when held (same epoch). Returns the epoch, or None while another holds it.

        Raises ``DependencyDownError`` when the database does not answer: after ttl it counts as lost.
        """
        async with open_transaction(self._engine) as connection:
            epoch: int | None = await connection.scalar(self._acquire, self._values)
            return epoch

    async def release(self) -> None:
        """Give the lease back, so that another need not wait for its end."""
        values = {"name": self._values["name"], "owner": self._values["owner"]}
        async with open_transaction(self._engine) as connection:
            await connection.execute(self._release, values)
