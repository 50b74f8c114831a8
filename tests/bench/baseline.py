"""The bare Starlette application that POST throughput is compared with: parses the body, answers 202, does nothing."""

import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def create(request: Request) -> JSONResponse:
    """Echo the request as a created resource."""
    body = json.loads(await request.body())
    return JSONResponse({"id": "0", "state": "requested", **body}, status_code=202)


app = Starlette(routes=[Route("/v1/projects/{project}/databases", create, methods=["POST"])])
