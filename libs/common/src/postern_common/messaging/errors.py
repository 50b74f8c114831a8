"""Errors of messaging that are more exact than their class in ``postern_common.errors``."""

from typing import Final

from aio_pika.exceptions import AMQPError

from postern_common.errors import DependencyDownError, TransientError

AMQP_ERRORS: Final = (AMQPError, ConnectionError, OSError, TimeoutError, RuntimeError)
"""What aio-pika and aiormq raise when a connection or channel is gone (``RuntimeError``: used after its end)."""


class UnroutableError(TransientError):
    """The broker returned a mandatory message: no queue is bound for it. The row is kept and tried again."""

    def __init__(self, exchange: str, routing_key: str) -> None:
        super().__init__("unroutable", f"no queue of {exchange} is bound for {routing_key}")


class BrokerDownError(DependencyDownError):
    """The broker does not answer; whether it has the message is unknown."""

    def __init__(self, detail: str) -> None:
        super().__init__("broker_unavailable", detail)
