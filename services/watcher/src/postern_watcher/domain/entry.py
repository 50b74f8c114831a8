"""Everything in memory about one cluster, packed: thousands of idle ones must cost little more than their own facts."""

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


def pack(entry: Entry) -> bytes:
    """The entry as bytes."""
    return _ENCODER.encode(entry)


def unpack(packed: bytes) -> Entry:
    """The entry of ``pack``."""
    return _DECODER.decode(packed)
