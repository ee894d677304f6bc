"""What the judge is asked: a prompt for each labelled answer and each generation, which always fits its context."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

import polars as pl

from synth_platform.digest import digest, digest_int
from synth_platform.errors import SpecError
from synth_platform.judging.config import JudgeSpec
from synth_platform.judging.labels import LabelledAnswer
from synth_platform.judging.schema import ASKED, NOT_ASKED
from synth_platform.prompts.config import RecipeSpec, SamplingSpec
from synth_platform.prompts.templates import Template
from synth_platform.prompts.tokenizer import ChatTokenizer

_STEPS = 1_000_000
_LEAST_ROOM = 64
_SEED_MASK = 0x7FFFFFFFFFFFFFFF
_FRAME_TOKENS = 40
"""Tokens of a reply around its reason."""


def judge_recipe(name: str, judge: JudgeSpec) -> RecipeSpec:
    """A judge as a recipe: greedy, and held to a reason and a grade.

    The reason may have as many characters as there are tokens for it: one without end leaves room for the grade.
    """
    shape = {
        "type": "object",
        "properties": {
            "reason": {"type": "string", "maxLength": judge.max_tokens - _FRAME_TOKENS},
            "score": {"type": "integer", "enum": list(range(1, judge.scale + 1))},
        },
        "required": ["reason", "score"],
        "additionalProperties": False,
    }
    sampling = SamplingSpec(max_tokens=judge.max_tokens, temperature=0.0)
    return RecipeSpec(name=name, sampling=sampling, answer_schema=shape)


def judge_template() -> Template:
    """The shipped prompt of the judge."""
    return Template("judge.jinja", (files("synth_platform.judging") / "judge.jinja").read_text("utf-8"))


@dataclass(frozen=True)
class Asking:
    """Writes a judge's prompts.

    Args:
        judge: its settings.
        tokenizer: of its model.
        context_length: tokens that prompt and reply share.
        seed: of the dataset's cycle.
    """

    judge: JudgeSpec
    tokenizer: ChatTokenizer
    context_length: int
    seed: int

    @cached_property
    def template(self) -> Template:
        """The prompt."""
        return judge_template()

    def check_room(self) -> None:
        """Refuse a rubric that leaves no room for anything to judge.

        Raises:
            SpecError: it does.
        """
        (tokens,) = self.tokenizer.count([self.tokenizer.render_chat(self._messages("", ""))])
        if (room := self._most_tokens - tokens) < _LEAST_ROOM:
            raise SpecError(
                f"the rubric leaves {room} tokens for document and answer together",
                where="recipes.judge",
                fix="shorten the rubric, lower max_tokens, or raise the engine's context_length",
            )

    def of_labels(self, labelled: Sequence[LabelledAnswer]) -> Iterator[tuple[str, pl.DataFrame]]:
        """Tables ``prompts`` and ``skipped`` for answers that people have judged."""
        rows = pl.DataFrame(
            {
                "row": [one.id for one in labelled],
                "generation_id": None,
                "good": [one.good for one in labelled],
                "source_text": [one.source for one in labelled],
                "text": [one.answer for one in labelled],
            },
            schema_overrides={"row": pl.String(), "generation_id": pl.String(), "good": pl.Boolean()},
        )
        yield from self._ask(rows)

    def of_generations(self, made: Iterable[pl.DataFrame]) -> Iterator[tuple[str, pl.DataFrame]]:
        """The same for generations beside their prompts (``generation_id``, ``source_text``, ``text``)."""
        for batch in made:
            rows = batch.select(
                pl.col("generation_id").alias("row"), "generation_id", pl.lit(None, pl.Boolean()).alias("good"),
                "source_text", "text",
            )  # fmt: skip
            blank = pl.col("text").fill_null("").str.strip_chars() == ""
            without, written = rows.filter(blank), rows.filter(~blank)
            drawn = pl.Series([self._is_drawn(row) for row in written["row"]], dtype=pl.Boolean())
            yield "skipped", _skipped(without["generation_id"], "no_text", "")
            yield "skipped", _skipped(written.filter(~drawn)["generation_id"], "not_drawn", f"{self.judge.share:g}")
            yield from self._ask(written.filter(drawn))

    @property
    def _most_tokens(self) -> int:
        return self.context_length - self.judge.max_tokens

    def _is_drawn(self, row: str) -> bool:
        return digest_int(self.seed, "judge", row) % _STEPS < self.judge.share * _STEPS

    def _ask(self, rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
        if rows.is_empty():
            return
        messages = [self._messages(*texts) for texts in rows.select("source_text", "text").iter_rows()]
        tokens = self.tokenizer.count([self.tokenizer.render_chat(one) for one in messages])
        ids = [digest(row, self._asked_digest) for row in rows["row"]]
        asked = rows.select("generation_id", "good").with_columns(
            pl.Series("id", ids, pl.String()),
            pl.Series("messages", [json.dumps(one, ensure_ascii=False) for one in messages], pl.String()),
            pl.Series("prompt_tokens", tokens, pl.Int64()),
            pl.Series("seed", [digest_int(self.seed, one) & _SEED_MASK for one in ids], pl.Int64()),
        )
        fits = pl.col("prompt_tokens") <= self._most_tokens
        long = asked.filter(~fits)
        yield "prompts", asked.filter(fits).select(ASKED.names())
        yield "skipped", _skipped(long["generation_id"], "too_long", f"does not fit {self.context_length}")

    @cached_property
    def _asked_digest(self) -> str:
        return digest(self.template.digest, self.judge.rubric, self.judge.scale)

    def _messages(self, document: str, answer: str) -> list[dict[str, str]]:
        document, answer = (self.tokenizer.neutralise(text)[0] for text in (document, answer))
        fields: dict[str, Any] = {"rubric": self.judge.rubric.strip(), "scale": self.judge.scale}
        return [{"role": "user", "content": self.template.render({**fields, "document": document, "answer": answer})}]


def _skipped(ids: pl.Series, reason: str, detail: str) -> pl.DataFrame:
    rows = pl.DataFrame({"generation_id": ids}, schema_overrides={"generation_id": pl.String()})
    return rows.with_columns(reason=pl.lit(reason), detail=pl.lit(detail)).select(NOT_ASKED.names())
