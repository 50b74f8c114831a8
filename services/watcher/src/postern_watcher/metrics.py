"""Metrics of the watcher. One module, so that names are chosen once."""

from prometheus_client import Counter, Gauge

LEADER = Gauge("postern_watcher_leader", "Whether this process watches; 0 is a standby")
DATABASES = Gauge("postern_watcher_entries", "Clusters in sight or remembered")
TRANSITIONS = Counter("postern_watcher_transitions", "Events written to the outbox", ("state", "kind"))
CONFLICTS = Counter("postern_watcher_fenced_writes", "Writes refused because another leader or revision was first")
IGNORED = Counter("postern_watcher_ignored_clusters", "Clusters of this installation without usable identity", ("why",))
LISTS = Gauge("postern_watcher_lists", "Complete lists since this process leads", ("collection",))
EXPIRED = Gauge("postern_watcher_expired", "Expired resource versions (410) since this process leads", ("collection",))
THROTTLED = Gauge("postern_watcher_throttled", "Answers that asked to wait since this process leads", ("collection",))
FAILURES = Gauge("postern_watcher_failures", "Failed lists and watches since this process leads", ("collection",))
LAST_LINE_AGE = Gauge("postern_watcher_last_line_age_seconds", "Age of the last line of the watch", ("collection",))
