"""Everything in memory about one cluster, packed: thousands of idle ones must cost little more than their own facts.

A packed entry is MessagePack without member names, deflated against a dictionary of what nearly every entry holds: some
0.4 KB for a database of two instances (1.1 KB without), for 25 µs a change.
"""

import zlib

import msgspec

from postern_watcher.domain.facts import ClusterFacts, PodFacts, VolumeFacts, WarningFacts
from postern_watcher.domain.record import Record

MAX_WARNINGS = 8


class Entry(msgspec.Struct, array_like=True, kw_only=True):
    """The facts in sight and the record. Pods and volumes may be known before their Cluster is."""

    cluster: ClusterFacts | None = None
    record: Record | None = None
    pods: dict[str, PodFacts] = {}
    volumes: dict[str, VolumeFacts] = {}
    warnings: list[WarningFacts] = []

    @property
    def is_known(self) -> bool:
        """Whether it belongs to a database of ours."""
        return self.cluster is not None or self.record is not None

    def warn(self, warning: WarningFacts) -> None:
        """Keep the newest warning of each reason and object, the last ``MAX_WARNINGS`` of them."""
        others = [w for w in self.warnings if (w.name, w.reason) != (warning.name, warning.reason)]
        self.warnings = [*others, warning][-MAX_WARNINGS:]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Entry)
_DICTIONARY = (
    b"hibernated;hibernating;deleted;hibernation_requested;1 of 1 instances are ready;limits.memory;requests.memory;"
    b"limits.cpu;requests.cpu;Waiting for the instances to become active;postern-provisioner;"
    b"ghcr.io/cloudnative-pg/postgresql:;2 of 2 instances are ready;healthy;ready;Cluster in healthy state"
)
"""Never stored: it may change with every version."""
_RAW_DEFLATE = -15


def pack(entry: Entry) -> bytes:
    """The entry as bytes, for ``unpack`` of the same process."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, _RAW_DEFLATE, zdict=_DICTIONARY)
    return deflate.compress(_ENCODER.encode(entry)) + deflate.flush()


def unpack(packed: bytes) -> Entry:
    """The entry of ``pack``."""
    return _DECODER.decode(zlib.decompressobj(_RAW_DEFLATE, _DICTIONARY).decompress(packed))
