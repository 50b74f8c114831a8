"""Objects and lists to bytes, in the form that ``Accept`` asks for: plain, a Table for kubectl, metadata only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from postern_devcluster.apiserver.history import Stored
from postern_devcluster.apiserver.kinds import Kind
from postern_devcluster.apiserver.objects import type_prefix
from postern_devcluster.apiserver.reads import Page, encode_list
from postern_devcluster.apiserver.status import ApiError, Object
from postern_devcluster.apiserver.tables import build_table

_META = "meta.k8s.io/v1"
Form = Literal["plain", "table", "metadata"]
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Renderer:
    """How one request wants objects of a kind."""

    kind: Kind
    form: Form = "plain"
    include: str = "Metadata"
    """For tables: what of the object a row carries (None, Metadata, Object)."""

    @classmethod
    def of(cls, kind: Kind, accept: str, query: Mapping[str, str]) -> "Renderer":
        """Choose by ``Accept``. Raises 406 where nothing of it is served."""
        if not accept or accept == "*/*":
            return cls(kind)
        for part in accept.split(","):
            media, *parameters = (text.strip() for text in part.split(";"))
            given = dict(text.partition("=")[::2] for text in parameters)
            if media not in ("application/json", "application/*", "*/*"):
                continue
            shape = given.get("as", "")
            if not shape:
                return cls(kind)
            if shape == "Table" and given.get("v", "v1") == "v1":
                return cls(kind, "table", query.get("includeObject", "Metadata"))
            if shape in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                return cls(kind, "metadata")
        raise ApiError(406, "NotAcceptable", "only the following media types are accepted: application/json")

    def one(self, stored: Stored) -> bytes:
        """One object."""
        if self.form == "table":
            metadata = {"resourceVersion": str(stored.version)}
            return _encode(build_table(self.kind, [stored.object], metadata, include=self.include))
        return _encode(_partial(stored.object)) if self.form == "metadata" else stored.raw

    def many(self, page: Page) -> bytes:
        """A list."""
        if self.form == "table":
            bodies = [stored.object for stored in page.items]
            return _encode(build_table(self.kind, bodies, page.metadata, include=self.include))
        if self.form == "metadata":
            return encode_list(page, kind="PartialObjectMetadataList", api_version=_META, item=self.one)
        item = _raw if self.kind.custom else _item_without_type(self.kind)
        return encode_list(page, kind=f"{self.kind.kind}List", api_version=self.kind.api_version, item=item)

    def watched(self) -> Callable[[Stored], bytes]:
        """Objects of a watch: in a Table only the first carries the columns."""
        if self.form != "table":
            return self.one
        headed = False

        def encode(stored: Stored) -> bytes:
            nonlocal headed
            metadata = {"resourceVersion": str(stored.version)}
            table = build_table(self.kind, [stored.object], metadata, include=self.include)
            if headed:
                table["columnDefinitions"] = None
            headed = True
            return _encode(table)

        return encode


def _raw(stored: Stored) -> bytes:
    return stored.raw


def _item_without_type(kind: Kind) -> Callable[[Stored], bytes]:
    prefix = type_prefix(kind)
    cut = len(prefix)

    def item(stored: Stored) -> bytes:
        return b"{" + stored.raw[cut:] if stored.raw.startswith(prefix) else stored.raw

    return item


def _partial(body: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": body["metadata"]}
