"""Free loopback ports, so that several stacks and test runs live side by side.

Separate because servers, services and tests choose ports by the same rule.
"""

import random
import socket
from collections.abc import Collection

FIRST_PORT = 20_000
LAST_PORT = 31_999
"""Below Linux's ephemeral range (32768-60999): no outgoing connection takes the port between choosing and listening."""
_RANDOM = random.SystemRandom()
"""Of the system: test runners seed the common generator alike in every worker, which would then choose alike."""


def port_is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen on ``port`` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(*, avoid: Collection[int] = ()) -> int:
    """Return a port that nobody listens on and that is not in ``avoid``."""
    for _ in range(1000):
        port = _RANDOM.randint(FIRST_PORT, LAST_PORT)
        if port not in avoid and port_is_free(port):
            return port
    raise OSError(f"no free port between {FIRST_PORT} and {LAST_PORT}")


def choose_port(preferred: int | None, *, avoid: Collection[int] = ()) -> int:
    """Return ``preferred`` while it is free, else another free port: addresses survive a restart where they can."""
    if preferred is not None and preferred not in avoid and port_is_free(preferred):
        return preferred
    return free_port(avoid=avoid)
