"""Follow a project's events and never miss one: prints a line per event, resumes after every lost connection.

Needs nothing but Python's standard library.

    set -a; . .postern/env; set +a
    python3 examples/follow_events.py demo --after 0
"""

import argparse
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator


def stream(url: str, token: str, last: str) -> Iterator[tuple[str, str, str]]:
    """Yield ``(id, type, data)`` of each server-sent event until the connection ends."""
    request = urllib.request.Request(
        url,
        headers={"Authorization": f"Bearer {token}", "Accept": "text/event-stream", "Last-Event-ID": last},
    )
    # The server writes a ping every 15 s, so 45 s of silence is a dead connection.
    with urllib.request.urlopen(request, timeout=45) as answer:
        fields: dict[str, str] = {}
        for raw in answer:
            line = raw.decode().rstrip("\r\n")
            if not line:
                if "data" in fields:
                    yield fields.get("id", ""), fields.get("event", ""), fields["data"]
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")


def follow(url: str, token: str, last: str) -> None:
    """Print events for ever. What was printed last is where the next connection resumes."""
    pause = 1.0
    while True:
        try:
            for identifier, kind, data in stream(url, token, last):
                event = json.loads(data)
                if kind == "reset":
                    print(
                        "reset: some events are older than what is kept; starting over from the oldest", file=sys.stderr
                    )
                    last = "0"
                    break
                change = event["data"]
                state = f"{change.get('from')} -> {change['to']} ({change['reason']})" if "to" in change else ""
                print(f"{identifier:>6}  {event['time']}  {kind.removeprefix('dev.postern.'):<32} {state}", flush=True)
                last, pause = identifier, 1.0
        except urllib.error.HTTPError as error:
            if error.code in (401, 403, 404):
                raise SystemExit(f"refused: {error.code} {error.read().decode()}") from None
            print(f"the server answered {error.code}", file=sys.stderr)
        except OSError as error:
            print(f"connection lost: {error}", file=sys.stderr)
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, 30)


def main() -> None:
    """Read the command line and follow."""
    parser = argparse.ArgumentParser(description="Follow a project's events.")
    parser.add_argument("project")
    parser.add_argument("--after", default="0", help="sequence to start behind (default 0: from the oldest)")
    options = parser.parse_args()
    url = f"{os.environ['POSTERN_URL']}/v1/projects/{options.project}/events"
    try:
        follow(url, os.environ["POSTERN_TOKEN"], options.after)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
