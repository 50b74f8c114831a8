"""Reading request bodies: capped before anything is parsed, drained a little further so that the answer arrives.

A client that still sends while the server closes gets a reset instead of the 413: so up to 1 MiB is read and dropped
(semantics 22).
"""

import asyncio
from typing import Final

from starlette.requests import Request

from postern_common.contracts.broker import MAX_BODY_BYTES
from postern_common.errors import ClientError
from postern_gateway.domain.problems import refuse

DRAIN_BYTES: Final = 1024 * 1024
BODY_SECONDS: Final = 10.0
_DRAIN_SECONDS: Final = 3.0
_MERGE_PATCH: Final = "application/merge-patch+json"


async def read_body(request: Request) -> bytes:
    """The whole body. Raises 413 above 256 KiB, 408 when it does not come within 10 s, 400 when the client goes
    away.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise refuse("malformed_request", "the connection ended before the body did")
                chunk = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(chunk)
                if size <= MAX_BODY_BYTES:
                    chunks.append(chunk)
                elif size >= DRAIN_BYTES or not more:
                    raise _too_large(drained=not more)
    except TimeoutError as error:
        raise refuse("request_timeout", "the body did not arrive within 10 seconds", headers=_CLOSE) from error
    return b"".join(chunks)


_CLOSE: Final = {"Connection": "close"}


def _too_large(*, drained: bool) -> ClientError:
    detail = f"bodies may have {MAX_BODY_BYTES} bytes"
    return refuse("payload_too_large", detail, headers={} if drained else _CLOSE)


async def drain_body(request: Request) -> None:
    """Read and drop what a refused request still sends, up to 1 MiB and 3 s."""
    length = request.headers.get("content-length", "")
    if length in ("", "0") and "transfer-encoding" not in request.headers:
        return
    size = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while size < DRAIN_BYTES:
                message = await request.receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def check_media_type(request: Request, accepted: tuple[str, ...]) -> None:
    """Raises 415 unless the body's content type is one of ``accepted``, in UTF-8."""
    header = request.headers.get("content-type", "")
    name, _, parameters = header.partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if name.strip().lower() in accepted and charset in ("", "utf-8", "utf8"):
        return
    headers = {"Accept-Patch": ", ".join(accepted)} if _MERGE_PATCH in accepted else {"Accept": ", ".join(accepted)}
    raise refuse("unsupported_media_type", f"send {' or '.join(accepted)}, not {header[:60]!r}", headers=headers)
