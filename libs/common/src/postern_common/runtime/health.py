"""Readiness as named checks, and the routes that every service serves beside its own: health, version and metrics."""

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from postern_common.errors import PosternError
from postern_common.logging import get_logger
from postern_common.telemetry import service_version

logger = get_logger(__name__)

CHECK_SECONDS: Final = 3.0
CACHE_SECONDS: Final = 1.0
HEALTH_PATHS: Final = frozenset({"/livez", "/readyz", "/version", "/metrics"})

_build_info = Gauge("postern_build_info", "Version of the running service; always 1", ("service", "version", "python"))


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Outcome of one check; ``code`` and ``detail`` are empty when it is ready."""

    name: str
    code: str = ""
    detail: str = ""

    @property
    def ready(self) -> bool:
        """Whether the check passed."""
        return not self.code


@dataclass(frozen=True, slots=True)
class ReadinessReport:
    """Whether the service can do its work, check by check."""

    ready: bool
    checks: tuple[CheckResult, ...]


class Health:
    """The readiness checks of a process. A report is at most a second old, however many ask."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], Awaitable[None]]] = {}
        self._lock = asyncio.Lock()
        self._report: ReadinessReport | None = None
        self._expires = 0.0
        self._draining = False

    def add(self, name: str, check: Callable[[], Awaitable[None]]) -> None:
        """Add a check; it raises ``PosternError`` when not ready."""
        self._checks[name] = check

    def drain(self) -> None:
        """From now on never ready: the process is on its way out."""
        self._draining = True

    async def readiness(self) -> ReadinessReport:
        """Run all checks at the same time, each within 3 s."""
        if self._draining:
            return ReadinessReport(ready=False, checks=(CheckResult("process", "draining", "the process is stopping"),))
        async with self._lock:
            if self._report is None or time.monotonic() >= self._expires:
                results = await asyncio.gather(*(self._run(name, check) for name, check in self._checks.items()))
                self._report = ReadinessReport(all(result.ready for result in results), tuple(results))
                self._expires = time.monotonic() + CACHE_SECONDS
            return self._report

    async def _run(self, name: str, check: Callable[[], Awaitable[None]]) -> CheckResult:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except PosternError as error:
            return CheckResult(name, error.code, error.detail)
        except TimeoutError:
            return CheckResult(name, "timeout", f"no answer within {CHECK_SECONDS:g} s")
        except Exception:
            logger.exception("readiness_check_failed", check=name)
            return CheckResult(name, "unexpected_error", "the check itself failed, see the log")
        return CheckResult(name)


def health_routes(health: Health, name: str) -> list[Route]:
    """``/livez``, ``/readyz``, ``/version`` and ``/metrics`` of service ``name``."""
    _build_info.labels(name, service_version(), platform.python_version()).set(1)

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        report = await health.readiness()
        checks = [
            {"name": c.name, "ready": c.ready}
            if c.ready
            else {"name": c.name, "ready": False, "code": c.code, "detail": c.detail}
            for c in report.checks
        ]
        return JSONResponse({"ready": report.ready, "checks": checks}, 200 if report.ready else 503)

    async def show_version(_: Request) -> Response:
        return JSONResponse({"service": name, "version": service_version(), "python": platform.python_version()})

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/livez", livez, include_in_schema=False),
        Route("/readyz", readyz, include_in_schema=False),
        Route("/version", show_version, include_in_schema=False),
        Route("/metrics", metrics, include_in_schema=False),
    ]
