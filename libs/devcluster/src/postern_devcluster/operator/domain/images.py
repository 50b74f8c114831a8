"""Which PostgreSQL an image name stands for, and whether this machine can "pull" it: its programs must be installed."""

import re
from collections.abc import Sequence

REPOSITORY = "ghcr.io/cloudnative-pg/postgresql"
_FLAVOUR = re.compile(r"(\d{8,12}|\d{1,3}|minimal|standard|system|bookworm|bullseye|trixie)")


def default_image(major: int) -> str:
    """Return the image of a major version when a Cluster names none."""
    return f"{REPOSITORY}:{major}-system-trixie"


def major_of(image: str) -> int | None:
    """Return the major version that the tag of an image states, whether or not such an image exists."""
    match = re.match(r"(\d+)", _tag(image))
    return int(match.group(1)) if match else None


def pullable(image: str, majors: Sequence[int]) -> bool:
    """Whether the image exists as far as this machine is concerned: a well-formed tag of an installed major version."""
    version, *flavours = _tag(image).split("-")
    if not re.fullmatch(r"\d+(\.\d+)*", version) or major_of(image) not in majors:
        return False
    return all(_FLAVOUR.fullmatch(flavour) for flavour in flavours)


def _tag(image: str) -> str:
    name = image.split("@", 1)[0].rsplit("/", 1)[-1]
    return name.split(":", 1)[1] if ":" in name else ""
