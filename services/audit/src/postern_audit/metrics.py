"""The audit service's instruments. Labels are bounded: never an id, a project or a key."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

APPENDED: Final = Counter("postern_ledger_appended", "Entries committed to the ledger by this process")
DUPLICATES: Final = Counter("postern_ledger_duplicates", "Received messages that the ledger already had")
BATCH_SIZE: Final = Histogram(
    "postern_ledger_batch_size", "Entries per committed batch", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
APPEND_SECONDS: Final = Histogram(
    "postern_ledger_append_seconds",
    "Duration of a batch's transaction",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
LAG_SECONDS: Final = Gauge("postern_ledger_lag_seconds", "Age of the last batch's oldest event at its commit")
MISSING: Final = Gauge("postern_ledger_missing", "Messages that a source numbered and the ledger has not received")
HEAD_POSITION: Final = Gauge("postern_ledger_head_position", "Position of the newest entry this process committed")
IS_WRITER: Final = Gauge("postern_ledger_writer", "1 while this process is the elected writer")
FENCED: Final = Counter("postern_ledger_fenced", "Batches refused because another writer was elected")
CHECKPOINT_TIME: Final = Gauge("postern_ledger_checkpoint_timestamp_seconds", "Unix time of the last checkpoint")
CHECKPOINT_FAILURES: Final = Counter("postern_ledger_checkpoint_failures", "Checkpoints that could not be exported")
CHAIN_BROKEN: Final = Gauge("postern_ledger_chain_broken", "1 when entries after the last checkpoint do not chain")
SUBSCRIBERS: Final = Gauge("postern_sse_subscribers", "Open event streams")
DROPPED: Final = Counter("postern_sse_dropped", "Event streams closed by the service", ["reason"])
