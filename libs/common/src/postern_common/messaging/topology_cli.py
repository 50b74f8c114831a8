"""``postern-topology deploy|check``: the one deployer of the broker's topology."""

import asyncio
import sys
from typing import Final

from pydantic import SecretStr

from postern_common.contracts.broker import TOPOLOGY_VERSION
from postern_common.errors import PosternError
from postern_common.logging import configure_logging
from postern_common.messaging.topology import check_topology, connected, deploy_topology
from postern_common.persistence.engine import create_engine
from postern_common.settings import DatabaseSettings, load_settings

_USAGE: Final = "usage: postern-topology deploy|check\n"


class TopologySettings(DatabaseSettings):
    """``POSTERN_DATABASE_URL`` is an administrator's for ``deploy``; ``check`` works with any service's."""

    amqp_url: SecretStr


async def run(command: str, settings: TopologySettings) -> None:
    """Do it; raises ``PosternError`` with words for people."""
    engine = create_engine(settings.database_url.get_secret_value(), application_name="postern-topology", pool_size=1)
    try:
        async with connected(settings.amqp_url.get_secret_value(), name="postern-topology") as connection:
            if command == "deploy":
                await deploy_topology(connection, engine)
            await check_topology(connection, engine)
    finally:
        await engine.dispose()


def main() -> None:
    """Console script; status 0 when the topology is there, 1 when not, 2 for wrong use."""
    if len(sys.argv) != 2 or sys.argv[1] not in ("deploy", "check"):
        sys.stderr.write(_USAGE)
        raise SystemExit(2)
    settings = load_settings(TopologySettings)
    configure_logging("topology", "error", "console")
    try:
        asyncio.run(run(sys.argv[1], settings))
    except PosternError as error:
        sys.stderr.write(f"postern-topology: {error.detail}\n")
        raise SystemExit(1) from None
    sys.stdout.write(f"topology version {TOPOLOGY_VERSION} is deployed\n")
