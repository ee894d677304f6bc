"""Settings of the mixture: weights by tokens, a budget, and how often a row may repeat."""

from pydantic import Field, model_validator

from synth_platform.config import Name, StrictModel


class MixtureSpec(StrictModel):
    """How the training mixture is put together."""

    weights: dict[Name, float] = Field(default_factory=dict)
    """Share of the tokens by recipe or mix-in source; any positive scale. Empty: all that is at hand
    is used."""
    tokens: int | None = Field(default=None, gt=0)
    """Size in tokens. None: as large as the weights and `max_epochs` allow."""
    max_epochs: float = Field(default=1.0, gt=0, le=100)
    """How often a component may be repeated to reach its share."""

    @model_validator(mode="after")
    def _check_weights(self) -> "MixtureSpec":
        if any(weight < 0 for weight in self.weights.values()):
            raise ValueError("invalid mixture: a weight is negative; use 0 to leave a component out")
        if self.weights and not any(self.weights.values()):
            raise ValueError("invalid mixture: all weights are zero; give at least one a positive weight")
        return self
