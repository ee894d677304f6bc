"""Settings of the recipes: template, sampling, chunking and what a good answer looks like."""

import re
from typing import Annotated, Any, Literal

from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for
from pydantic import BaseModel, Field, PydanticUserError, field_validator, model_validator

from synth_platform.config import Name, StrictModel, import_named
from synth_platform.judging.config import JudgeSpec

TEMPLATE_FIELDS = (
    "document",
    "title",
    "url",
    "language",
    "source",
    "license",
    "metadata",
    "chunk",
    "chunks",
    "sample",
    "seed",
)
"""Names that a template may use; `document` is the chunk's text, `title` and others may be null."""
CONFORMANCES = ("table", "math", "faq", "tutorial", "json", "none")


class SamplingSpec(StrictModel):
    """How the model samples. A field left null is not sent, so the engine's own default holds."""

    max_tokens: int = Field(default=2048, gt=0)
    """Most tokens of one answer (FinePhrase: 2,048)."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 1.0
    """Randomness; 0 is greedy. 1 keeps the variety that matters more than polish."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Sample from the smallest set of tokens with this probability."""
    top_k: Annotated[int, Field(ge=1)] | None = None
    """Sample from so many tokens at most."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Leave out tokens less likely than this share of the likeliest one."""
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    """Above 1 discourages tokens of the prompt and the answer so far."""
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Above 0 discourages tokens that the answer already has."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Above 0 discourages tokens by how often the answer has them."""
    stop: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    """Texts at which the answer ends; they are not part of it."""

    def request_fields(self) -> dict[str, object]:
        """The fields of a chat completion request; what is not set is left out."""
        fields = self.model_dump(exclude_none=True)
        if not self.stop:
            fields.pop("stop")
        return fields


class PatternCount(StrictModel):
    """How often a pattern must occur."""

    pattern: str
    """Regular expression; ^ and $ are the ends of lines."""
    min: int = Field(default=1, ge=0)
    """Fewest occurrences."""
    max: int | None = Field(default=None, ge=0)
    """Most occurrences; None: any number."""


class PatternConformance(StrictModel):
    """A recipe's form by patterns: the key is the reason that a row is rejected for."""

    required: dict[Name, str | PatternCount] = Field(default_factory=dict)
    """What an answer must have: a pattern, or a pattern with the number of its occurrences."""
    forbidden: dict[Name, str] = Field(default_factory=dict)
    """Patterns that an answer must not have."""

    @property
    def required_counts(self) -> dict[str, PatternCount]:
        """`required`, with the counts spelled out."""
        return {code: PatternCount(pattern=one) if isinstance(one, str) else one for code, one in self.required.items()}

    @model_validator(mode="after")
    def _check_patterns(self) -> "PatternConformance":
        for code, pattern in [(code, one.pattern) for code, one in self.required_counts.items()] + list(
            self.forbidden.items()
        ):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{code}: {pattern!r} is no regular expression: {error}") from None
        return self


class RecipeSpec(StrictModel):
    """A prompt format: what is asked of the model about each document."""

    name: Name
    """Name of the recipe; also that of its template and conformance rule where those are not given."""
    template: str | None = None
    """Name of a shipped template, or path of a .jinja file (relative to the spec). None: the recipe's name."""
    sampling: SamplingSpec = SamplingSpec()
    """How the model samples."""
    samples: int = Field(default=1, ge=1, le=1000)
    """Answers per document and chunk."""
    sources: list[Name] | None = None
    """Names of the sources to use. None: all with the role `rewrite`."""
    system: str | None = Field(default=None, min_length=1)
    """System message. None: none is sent, so the model's chat template decides."""
    variables: dict[str, str] = Field(default_factory=dict)
    """Values that the template may use under these names."""
    min_document_tokens: Annotated[int, Field(ge=0)] | None = None
    """Skip shorter documents."""
    max_document_tokens: Annotated[int, Field(gt=0)] | None = None
    """Skip longer documents, before chunking."""
    chunk_tokens: Annotated[int, Field(ge=16)] | Literal["fit"] | None = None
    """Split documents into chunks of so many tokens at most; `fit`: as many as the context leaves.
    None: a document that does not fit is skipped, since a part of it is another task."""
    max_chunks: Annotated[int, Field(gt=0)] | None = None
    """Use only the first so many chunks of a document; None: all."""
    answer_schema: dict[str, Any] | None = None
    """JSON schema that the engine holds every answer to (structured output): the schema itself, or
    ``package.module:Model`` for a pydantic model. Answers are then rows of JSON."""
    conformance: str | PatternConformance | None = None
    """Rule that answers are checked by: a shipped one, ``package.module:function`` (text to codes of what is wrong), or
    patterns. None: the one called like the recipe, else `none`."""
    judge: JudgeSpec | None = None
    """A language model that grades the answers. None: none does."""

    @field_validator("conformance")
    @classmethod
    def _check_conformance(cls, rule: "str | PatternConformance | None") -> "str | PatternConformance | None":
        if isinstance(rule, str) and rule not in CONFORMANCES and ":" not in rule:
            raise ValueError(
                f"there is no rule {rule!r}; use one of {', '.join(CONFORMANCES)}, package.module:function, or patterns"
            )
        return rule

    @field_validator("answer_schema", mode="before")
    @classmethod
    def _load_schema(cls, given: Any) -> Any:
        return _schema_of(given) if isinstance(given, str) else given

    @field_validator("answer_schema")
    @classmethod
    def _check_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            try:
                validator_for(schema).check_schema(schema)
            except SchemaError as error:
                raise ValueError(f"no valid JSON schema: {error.message[:200]}") from None
        return schema

    @model_validator(mode="after")
    def _check(self) -> "RecipeSpec":
        for name in self.variables:
            if not name.isidentifier() or name.startswith("_"):
                raise ValueError(f"variable {name!r} is not a plain name; use letters, digits and '_'")
            if name in TEMPLATE_FIELDS:
                raise ValueError(f"variable {name!r} would hide the document's own field; rename it")
        low, high = self.min_document_tokens, self.max_document_tokens
        if low is not None and high is not None and low > high:
            raise ValueError(f"no length fits: min_document_tokens {low} > max_document_tokens {high}")
        if self.sources is not None and not self.sources:
            raise ValueError("sources is empty; leave it out to use all sources with the role rewrite")
        return self

    def request_fields(self) -> dict[str, Any]:
        """All fields of a request beside the model and the messages."""
        fields: dict[str, Any] = dict(self.sampling.request_fields())
        if self.answer_schema is not None:
            shape = {"name": self.name, "schema": self.answer_schema, "strict": True}
            fields["response_format"] = {"type": "json_schema", "json_schema": shape}
        return fields

    @property
    def template_name(self) -> str:
        """Name or path of the template."""
        return self.template or self.name

    @property
    def conformance_rule(self) -> "str | PatternConformance":
        """The rule that answers are checked by."""
        if self.conformance is not None:
            return self.conformance
        if self.answer_schema is not None:
            return "json"
        return self.name if self.name in CONFORMANCES else "none"


def _schema_of(name: str) -> dict[str, Any]:
    """The JSON schema of a pydantic model, by its import path."""
    model = import_named(name)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ValueError(f"{name!r} is no pydantic model")
    try:
        return model.model_json_schema()
    except PydanticUserError as error:
        raise ValueError(f"{name!r} has no JSON schema: {error.message}") from None
