"""Broker topology as data: exchanges, queues, bindings and their arguments (semantics 25-26).

The deployer (``postern-topology``) declares exactly this; services only use it.
"""

from dataclasses import dataclass, field

COMMANDS_EXCHANGE = "postern.commands"
EVENTS_EXCHANGE = "postern.events"
DEAD_EXCHANGE = "postern.dead"

PROVISIONER_COMMANDS = "provisioner.commands"
PROVISIONER_SIGNALS = "provisioner.signals"
GATEWAY_PROJECTION = "gateway.projection"
AUDIT_LEDGER = "audit.ledger"

COMMAND_DELIVERY_LIMIT = 20
HEALTHY_DELIVERY_LIMIT = 1_000_000
"""Every lost connection counts as a delivery: a small limit would dead-letter healthy messages (semantics 26)."""

MAX_BODY_BYTES = 256 * 1024
TOPOLOGY_VERSION = "1"
"""Raised with every change here; the deployer stores it, services compare it (a passive declare ignores arguments)."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A quorum queue, its bindings ``(exchange, routing key pattern)`` and its delivery limit."""

    name: str
    bindings: tuple[tuple[str, str], ...]
    delivery_limit: int | None

    @property
    def arguments(self) -> dict[str, str | int]:
        """Arguments for the declare; works on RabbitMQ 3.10 and 4.x."""
        if self.delivery_limit is None:
            return {"x-queue-type": "quorum"}
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": self.delivery_limit,
            "x-dead-letter-exchange": DEAD_EXCHANGE,
            "x-dead-letter-routing-key": self.name,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


@dataclass(frozen=True, slots=True)
class TopologySpec:
    """All that the deployer declares. Exchanges are durable topic exchanges."""

    exchanges: tuple[str, ...] = (COMMANDS_EXCHANGE, EVENTS_EXCHANGE, DEAD_EXCHANGE)
    queues: tuple[QueueSpec, ...] = field(default_factory=lambda: _WORK_QUEUES + _PARKING_QUEUES)


def parking_queue(queue: str) -> str:
    """Name of the queue where ``queue``'s dead letters lie until a person looks."""
    return f"{queue}.dead"


_WORK_QUEUES: tuple[QueueSpec, ...] = (
    QueueSpec(PROVISIONER_COMMANDS, ((COMMANDS_EXCHANGE, "#"),), COMMAND_DELIVERY_LIMIT),
    QueueSpec(PROVISIONER_SIGNALS, ((EVENTS_EXCHANGE, "object.drifted"),), COMMAND_DELIVERY_LIMIT),
    QueueSpec(
        GATEWAY_PROJECTION,
        tuple(
            (EVENTS_EXCHANGE, f"database.{verb}")
            for verb in ("received", "applied", "apply_failed", "removed", "state_changed", "observed")
        ),
        HEALTHY_DELIVERY_LIMIT,
    ),
    QueueSpec(AUDIT_LEDGER, ((EVENTS_EXCHANGE, "#"),), HEALTHY_DELIVERY_LIMIT),
)
_PARKING_QUEUES: tuple[QueueSpec, ...] = tuple(
    QueueSpec(parking_queue(q.name), ((DEAD_EXCHANGE, q.name),), None) for q in _WORK_QUEUES
)

TOPOLOGY = TopologySpec()
