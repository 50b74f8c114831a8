"""The catalogue as clients see it; encoded once, for it does not change while the process lives."""

from postern_gateway.domain.catalogue import Offer
from postern_gateway.domain.representations import CatalogueView, ParameterView, PlanView, StorageView, VersionView
from postern_gateway.services.calls import Answer, answer_document


def build_catalogue_answer(offer: Offer) -> Answer:
    """Plans, versions with their parameters, storage classes and limits, as this installation offers them."""
    catalogue = offer.catalogue
    view = CatalogueView(
        plans=[
            PlanView(
                name=plan.name,
                description=plan.description,
                cpu=plan.cpu,
                memory=plan.memory,
                storage=plan.storage,
                instances=plan.instances,
                parameters=plan.parameters,
                deletion_protection=plan.instances > 1,
            )
            for plan in catalogue.plans
        ],
        versions=[
            VersionView(
                major=version,
                default=version == offer.default_version,
                parameters={
                    name: ParameterView(
                        type=rule.type,
                        restart=rule.restart,
                        unit=rule.unit,
                        minimum=rule.minimum,
                        maximum=rule.maximum,
                        also=list(rule.also),
                        values=list(rule.values),
                        pattern=rule.pattern,
                    )
                    for name, rule in sorted(catalogue.rules(version).items())
                },
            )
            for version in offer.versions
        ],
        storage_classes=list(offer.storage_classes),
        storage=StorageView(catalogue.storage.minimum, catalogue.storage.maximum),
        instances={"minimum": 1, "maximum": 9},
    )
    return answer_document(view)
