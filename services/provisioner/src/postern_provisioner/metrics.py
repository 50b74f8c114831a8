"""Metrics of the provisioner. One module: a metric is registered once per process."""

from prometheus_client import Counter, Gauge

ATTEMPTS = Counter("postern_reconcile_attempts", "Attempts to reconcile a target, by how they ended", ("outcome",))
IN_FLIGHT = Gauge("postern_reconcile_in_flight", "Attempts that run now")
DRIFT = Counter("postern_drift_found", "Objects that the resync found other than they were written", ("kind",))
RESYNC_SECONDS = Gauge("postern_resync_duration_seconds", "How long the last resync took")
