"""RabbitMQ: supervised connection, confirmed publisher, consumers with one settle table, the topology's deployer."""

from postern_common.contracts.outgoing import OutgoingMessage
from postern_common.messaging.connection import BrokerConnection
from postern_common.messaging.consumer import BatchConsumer, Consumer
from postern_common.messaging.errors import BrokerDownError, UnroutableError
from postern_common.messaging.publisher import Publisher
from postern_common.messaging.readiness import add_standard_checks
from postern_common.messaging.topology import check_topology, deploy_topology

__all__ = [
    "BatchConsumer",
    "BrokerConnection",
    "BrokerDownError",
    "Consumer",
    "OutgoingMessage",
    "Publisher",
    "UnroutableError",
    "add_standard_checks",
    "check_topology",
    "deploy_topology",
]
