"""Score a small model on held-out playground documents, and write its card.

python -m synth_platform.pilot.evaluate --model synth_platform/generation/models/synth-tiny --documents 400
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from transformers import LlamaForCausalLM  # pyright: ignore[reportMissingImports]

from synth_platform.pilot.corpus import RECIPES, Example, examples
from synth_platform.pilot.tokenizer import END, PAD, START
from synth_platform.pilot.train import load_saved
from synth_platform.plots import line_png
from synth_platform.quality.conformance import RULES
from synth_platform.quality.facts import check_facts

MAX_TOKENS = 500
_BATCH = 32


@dataclass
class Score:
    """How a recipe's answers fared."""

    answers: int = 0
    conforming: int = 0
    faultless: int = 0
    correct: int = 0
    wrong: int = 0

    @property
    def fact_accuracy(self) -> float:
        """Share of right statements."""
        return self.correct / max(self.correct + self.wrong, 1)


def score(model: LlamaForCausalLM, tokenizer: Any, held_out: Sequence[Example]) -> dict[str, Score]:
    """Greedy answers of a model, judged by format rule and exact facts."""
    scores = {recipe: Score() for recipe in RECIPES}
    for example, text in zip(held_out, answers(model, tokenizer, held_out), strict=True):
        one = scores[example.recipe]
        facts = check_facts(text, example.document.text, example.document.metadata())
        assert facts is not None
        conforms = not RULES[example.recipe](text)
        one.answers += 1
        one.conforming += conforms
        one.faultless += conforms and not facts.wrong
        one.correct += len(facts.correct)
        one.wrong += len(facts.wrong)
    return scores


def answers(model: LlamaForCausalLM, tokenizer: Any, asked: Sequence[Example]) -> Iterator[str]:
    """Greedy answers to the examples' prompts, in their order."""
    end, pad = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    for group in _groups(asked):
        rows = [tokenizer.encode(f"{START}user\n{one.prompt}{END}\n{START}assistant\n").ids for one in group]
        longest = max(map(len, rows))
        ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
        with torch.inference_mode():
            made = model.generate(
                ids,
                attention_mask=(ids != pad).long(),
                max_new_tokens=MAX_TOKENS,
                do_sample=False,
                eos_token_id=end,
                pad_token_id=pad,
            )
        yield from (tokenizer.decode(row[longest:].tolist()) for row in made)


def _groups(asked: Sequence[Example]) -> Iterator[Sequence[Example]]:
    for start in range(0, len(asked), _BATCH):
        yield asked[start : start + _BATCH]


def card(scores: dict[str, Score], training: dict[str, Any], documents: int) -> str:
    """The model card."""
    rows = [
        f"| {recipe} | {one.answers} | {one.conforming / one.answers:.1%} | {one.fact_accuracy:.2%} |"
        f" {one.faultless / one.answers:.1%} |"
        for recipe, one in scores.items()
    ]
    commands = "\n".join(training["commands"])
    return f"""---
license: apache-2.0
language: [en]
library_name: transformers
tags: [synthetic-data, test-model]
---

# synth-tiny

A Llama of {training["parameters"]:,} parameters, trained from scratch to rewrite documents of the
`playground` source under the four shipped recipes. It makes the first run of the platform possible without a
model hub and without a GPU, and still is a real language model behind a real vLLM server. It is of no use for
any other text.

## Training

{training["tokens"]:,} tokens in {training["steps"]:,} steps and {training["seconds"] / 60:.0f} minutes on two
CPU cores, seed {training["seed"]}, torch {training["torch"]}; digest of the first 1,000 examples:
`{training["data_digest"]}`. Shape: {json.dumps(training["shape"])}.

Every value in the documents is invented at random, so the model can only learn to copy; no invented word of
the documents that it is scored and used on occurs in training. Commands, in order (with `--answers-only` the
loss counts the answers only, so it is not comparable with that of the runs before; a run may have been stopped
before its time, tokens and minutes above are what was spent):

```
{commands}
```

![Loss while training](loss.png)

## Scores

Greedy answers to {documents} documents of the split `documents`, judged by the platform's own format rules and
fact check:

| recipe | answers | right format | right statements | right format and no wrong statement |
|---|---|---|---|---|
{chr(10).join(rows)}
"""


def main(arguments: list[str] | None = None) -> None:
    """Score a model and write README.md and loss.png beside it."""
    parser = argparse.ArgumentParser(description="Score a small model on held-out documents and write its card.")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    model, tokenizer, record = load_saved(options.model)
    held_out = list(examples(options.documents, seed=options.seed, split="documents"))
    scores = score(model.eval(), tokenizer, held_out)
    training = json.loads((options.model / "training.json").read_text("utf-8"))
    (options.model / "README.md").write_text(card(scores, training, len(held_out)), "utf-8")
    curve = [(tokens / 1e6, loss) for tokens, loss in record.curve]
    (options.model / "loss.png").write_bytes(
        line_png(curve, title="Loss while training", x="million tokens", y="nats per token")
    )
    for recipe, one in scores.items():
        print(f"{recipe}: {one.answers} answers, {one.fact_accuracy:.2%} right statements, {one}")


if __name__ == "__main__":
    main()
