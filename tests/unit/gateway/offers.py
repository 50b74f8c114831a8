"""The committed catalogue as an offer."""

import importlib.resources

import yaml

from postern_gateway.domain.catalogue import Offer, build_offer, parse_catalogue


def document() -> dict[str, object]:
    """The committed file, decoded."""
    text = importlib.resources.files("postern_gateway").joinpath("catalogue.yaml").read_text("utf-8")
    loaded: dict[str, object] = yaml.safe_load(text)
    return loaded


def offer(*classes: str) -> Offer:
    """All versions, with ``classes`` on offer."""
    return build_offer(parse_catalogue(document()), (14, 15, 16, 17, 18), classes)
