"""Which image a cluster runs. Separate: the answer must not change under a running cluster: it would roll it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_REPOSITORY = "ghcr.io/cloudnative-pg/postgresql"
_MAJOR = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """Repository, and the tag of each major; a major without an entry has its number as the tag."""

    repository: str = DEFAULT_REPOSITORY
    tags: Mapping[int, str] = field(default_factory=dict)

    def default(self, major: int) -> str:
        """Image of a new cluster of ``major``."""
        return f"{self.repository}:{self.tags.get(major, str(major))}"

    def choose(self, major: int, *known: str | None) -> str:
        """The first of the images in use that is of ``major``, else the default: a changed default moves nobody."""
        for image in known:
            if image is not None and image_major(image) == major:
                return image
        return self.default(major)


def image_major(image: str) -> int | None:
    """PostgreSQL major that an image's tag names; a digest behind the tag is ignored. None when it names none."""
    name = image.partition("@")[0].rpartition("/")[2]
    match = _MAJOR.match(name.partition(":")[2])
    return int(match.group(1)) if match else None


def parse_tags(text: str) -> dict[int, str]:
    """Parse ``16=16.9-standard-bookworm,17=17.5``. Raises ``ValueError`` for a tag that is no tag of its major."""
    tags: dict[int, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        major, separator, tag = part.partition("=")
        if not separator or not major.isdigit() or image_major(f"x:{tag}") != int(major):
            raise ValueError(f"{part!r} is not <major>=<tag that begins with the major>")
        tags[int(major)] = tag
    return tags
