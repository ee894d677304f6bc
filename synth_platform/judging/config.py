"""Settings of a judge: its rubric, and the labels that it must agree with before it may reject anything."""

from typing import Annotated

from pydantic import Field

from synth_platform.config import StrictModel


class JudgeSpec(StrictModel):
    """A language model that grades a recipe's answers; `quality.<recipe>.min_judge_score` says what is too low."""

    rubric: str = Field(min_length=1)
    """What a good answer is, in words."""
    scale: Annotated[int, Field(ge=2, le=10)] = 5
    """Grades go from 1 to this."""
    max_tokens: Annotated[int, Field(ge=64)] = 200
    """Longest reply: a sentence of reasons, then the grade."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the answers that are graded; a judge that rejects must grade all."""
    labels: str | None = None
    """Answers that people have judged: JSON lines, CSV or Parquet with the columns `source`, `answer` and `good` (true
    or false). The judge grades them too, and its agreement with them is reported."""
