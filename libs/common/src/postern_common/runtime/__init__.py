"""How a process lives: tasks with an owner, health, the stop in order, wake-ups, backoff, crash points."""

from postern_common.runtime.backoff import backoff, delay_for
from postern_common.runtime.crashpoint import crashpoint
from postern_common.runtime.health import HEALTH_PATHS, CheckResult, Health, ReadinessReport, health_routes
from postern_common.runtime.polling import RowPoller, wait_for
from postern_common.runtime.process import Service, serve
from postern_common.runtime.tasks import TaskExitedError, TaskOwner
from postern_common.runtime.wakeup import Wakeup

__all__ = [
    "HEALTH_PATHS",
    "CheckResult",
    "Health",
    "ReadinessReport",
    "RowPoller",
    "Service",
    "TaskExitedError",
    "TaskOwner",
    "Wakeup",
    "backoff",
    "crashpoint",
    "delay_for",
    "health_routes",
    "serve",
    "wait_for",
]
