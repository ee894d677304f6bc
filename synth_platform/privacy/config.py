"""Settings of the privacy stage: what happens to which finding, in sources and in outputs."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import phonenumbers
from pydantic import AfterValidator, Field, model_validator

from synth_platform.config import StrictModel
from synth_platform.privacy.entities import kinds
from synth_platform.privacy.phones import REGIONS
from synth_platform.privacy.rules import ENTITIES, Entity

Policy = Literal["reject", "redact", "keep"]
"""Drop the text, put a placeholder in the finding's place, or leave it."""
DEFAULTS: Mapping[str, Policy] = {
    "secret": "reject",
    "iban": "reject",
    "card": "reject",
    "national_id": "reject",
    "wallet": "redact",
    "email": "redact",
    "phone": "redact",
    "ip": "redact",
    "ipv4_private": "keep",
    "ipv6_private": "keep",
    "address": "redact",
    "person": "keep",
}
"""By entity; a kind of entity goes before its entity."""


def _check_policies(policies: dict[str, Policy]) -> dict[str, Policy]:
    unknown = [name for name in policies if name not in ENTITIES and name not in kinds()]
    if unknown:
        raise ValueError(f"unknown entity or kind: {', '.join(unknown)}; entities are {', '.join(ENTITIES)}")
    return {**DEFAULTS, **policies}


def _check_regions(regions: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [region for region in regions if region not in phonenumbers.SUPPORTED_REGIONS]
    if unknown:
        raise ValueError(f"unknown region: {', '.join(unknown)}; use ISO 3166 codes such as US, DE")
    return regions


Policies = Annotated[dict[str, Policy], AfterValidator(_check_policies)]
"""Policy by entity, or by kind for exceptions; what is not named has its default."""


class PrivacySpec(StrictModel):
    """Personal data and secrets: what happens to them."""

    source: Policies = Field(default_factory=dict)
    """What happens to findings in source documents, by entity or kind."""
    output: Policies = Field(default_factory=dict)
    """What happens to findings in synthetic texts, by entity or kind."""
    regions: Annotated[tuple[str, ...], AfterValidator(_check_regions)] = REGIONS
    """Regions whose national telephone formats are known (ISO 3166 codes)."""
    ner: str | None = None
    """A spaCy model (name or folder) that finds persons; null: persons are not measured."""
    held_out: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the documents that no prompt is made of. What outputs disclose of the others is compared with them;
    0: not measured."""
    canaries: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Documents of each recipe whose prompts get a made-up name, to measure how often one comes out. What shows one is
    rejected; 0: not measured."""
    min_source_documents: Annotated[int, Field(ge=1)] = 5
    """An entity of an output that fewer source documents have counts as rare (k)."""

    @model_validator(mode="after")
    def _persons_need_a_model(self) -> Self:
        for policies in (self.source, self.output):
            if policies.get("person", "keep") != "keep" and self.ner is None:
                raise ValueError("a policy for persons needs a model to find them: set `ner`")
        return self


def policy_of(policies: Mapping[str, Policy], entity: str, kind: str) -> Policy:
    """What happens to a finding: its kind's policy, else its entity's, else the default."""
    for name in (kind, entity):
        if name in policies:
            return policies[name]
    return DEFAULTS.get(kind) or DEFAULTS[entity]


def entities_of(policies: Mapping[str, Policy]) -> tuple[Entity, ...]:
    """Entities that patterns find and of which some kind is not kept."""
    of_kind = kinds()
    wanted = {of_kind.get(name, name) for name, policy in {**DEFAULTS, **policies}.items() if policy != "keep"}
    return tuple(entity for entity in ENTITIES if entity in wanted and entity != "person")
