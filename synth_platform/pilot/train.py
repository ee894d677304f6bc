"""Train a small Llama from scratch: `python -m synth_platform.pilot.train --out DIR --minutes 60`.

`train` takes any stream of token sequences; `main` feeds it the `synth-tiny` corpus.
"""

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from queue import Queue
from threading import Thread

import torch  # pyright: ignore[reportMissingImports]
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM  # pyright: ignore[reportMissingImports]

from synth_platform.digest import digest
from synth_platform.pilot.corpus import RECIPES, examples
from synth_platform.pilot.tokenizer import END, PAD, START, chat_text, save_tokenizer, train_tokenizer

CONTEXT_LENGTH = 2048
_POOL_BATCHES = 16
_IGNORE = -100
_RECORD = "training.json"


@dataclass(frozen=True)
class Shape:
    """Size of the model; the default has 3.4 million parameters."""

    layers: int = 4
    width: int = 256
    heads: int = 4
    feed_forward: int = 704
    vocabulary: int = 1024


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn; the learning rate follows a cosine over the wall clock."""

    minutes: float
    batch: int = 16
    peak_rate: float = 1.5e-3
    warmup_steps: int = 100
    checkpoint_minutes: float = 5.0
    seed: int = 0


@dataclass(frozen=True)
class Sequence:
    """One example: token ids, and the place from which on the loss counts them."""

    ids: list[int]
    learn_from: int = 0


@dataclass
class Record:
    """What a training run measured."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Tokens seen and mean loss since the point before."""
    commands: list[str] = field(default_factory=list)
    """Every command that trained the model, in order."""


def build_model(shape: Shape, tokenizer: Tokenizer, seed: int) -> LlamaForCausalLM:
    """A randomly initialised Llama with tied embeddings."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.token_to_id(START),
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
    )
    return LlamaForCausalLM(config)


def train(
    model: LlamaForCausalLM,
    sequences: Iterable[Sequence],
    schedule: Schedule,
    save: "Save",
    pad: int,
    record: Record | None = None,
) -> Record:
    """Train on a stream of token sequences until the time is up.

    Args:
        model: changed in place.
        sequences: an endless stream of examples.
        schedule: time, batch size, learning rate.
        save: called every few minutes and at the end.
        pad: token id that fills short rows.
        record: what an earlier run on the same model measured; counting goes on from there.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.peak_rate, betas=(0.9, 0.95), weight_decay=0.1)
    record = record or Record()
    first_step, first_token, seconds_before = record.steps, record.tokens, record.seconds
    started = time.monotonic()
    last_saved = last_told = started
    losses: list[float] = []
    model.train()
    for ids, labels in _ahead(_batches(sequences, schedule, pad)):
        elapsed = time.monotonic() - started
        if elapsed >= schedule.minutes * 60:
            break
        for group in optimizer.param_groups:
            group["lr"] = _rate(schedule, record.steps - first_step, elapsed)
        with torch.autocast("cuda" if ids.is_cuda else "cpu", dtype=torch.bfloat16):
            logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=_IGNORE
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        record.steps += 1
        record.tokens += int((ids != pad).sum())
        losses.append(loss.item())
        now = time.monotonic()
        if now - last_told > 10:
            record.curve.append((record.tokens, sum(losses) / len(losses)))
            _tell(record, schedule, now - started, first_token)
            losses, last_told = [], now
        if now - last_saved > schedule.checkpoint_minutes * 60:
            record.seconds = seconds_before + now - started
            save(model, record)
            last_saved = now
    record.seconds = seconds_before + time.monotonic() - started
    save(model, record)
    return record


class Save:
    """Writes a model folder in the Hugging Face layout, whole or not at all."""

    def __init__(self, out: Path, tokenizer: Tokenizer, facts: dict[str, object]) -> None:
        self._out, self._tokenizer, self._facts = out, tokenizer, facts

    def __call__(self, model: LlamaForCausalLM, record: Record) -> None:
        """Save weights as bfloat16, tokenizer and the training record."""
        aside = self._out.with_name(self._out.name + ".partial")
        aside.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
        model.config.dtype = torch.bfloat16
        model.save_pretrained(aside, state_dict=weights)
        save_tokenizer(self._tokenizer, aside, CONTEXT_LENGTH)
        (aside / _RECORD).write_text(json.dumps({**self._facts, **asdict(record)}, indent=1), "utf-8")
        self._out.mkdir(parents=True, exist_ok=True)
        for file in aside.iterdir():
            file.replace(self._out / file.name)
        aside.rmdir()


def _rate(schedule: Schedule, step: int, elapsed: float) -> float:
    warm = min(1.0, (step + 1) / schedule.warmup_steps)
    done = min(1.0, elapsed / (schedule.minutes * 60))
    return schedule.peak_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def _batches(
    sequences: Iterable[Sequence], schedule: Schedule, pad: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of sequences of like length, so that little is padding."""
    rng, stream = random.Random(schedule.seed), iter(sequences)
    while pool := list(islice(stream, schedule.batch * _POOL_BATCHES)):
        pool.sort(key=lambda sequence: len(sequence.ids))
        groups = [pool[at : at + schedule.batch] for at in range(0, len(pool), schedule.batch)]
        rng.shuffle(groups)
        for group in groups:
            longest = max(len(sequence.ids) for sequence in group)
            ids = torch.tensor([row.ids + [pad] * (longest - len(row.ids)) for row in group])
            labels = torch.tensor([_labels(row, longest) for row in group])
            yield ids, labels


def _labels(row: Sequence, longest: int) -> list[int]:
    return [_IGNORE] * row.learn_from + row.ids[row.learn_from :] + [_IGNORE] * (longest - len(row.ids))


def _ahead(
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The same batches, made a little ahead in a thread, so that the model never waits."""
    queue: Queue[tuple[torch.Tensor, torch.Tensor] | None] = Queue(maxsize=64)

    def fill() -> None:
        for batch in batches:
            queue.put(batch)
        queue.put(None)

    Thread(target=fill, daemon=True).start()
    while (batch := queue.get()) is not None:
        yield batch


def _tell(record: Record, schedule: Schedule, elapsed: float, first_token: int) -> None:
    left = max(schedule.minutes * 60 - elapsed, 0)
    print(
        f"{elapsed / 60:5.1f} min · step {record.steps:,} · {record.tokens:,} tokens ·"
        f" {(record.tokens - first_token) / elapsed:,.0f} tokens/s · loss {record.curve[-1][1]:.4f} ·"
        f" {left / 60:.1f} min left",
        flush=True,
    )


def tiny_tokenizer(seed: int) -> Tokenizer:
    """The tokenizer of `synth-tiny`: mostly playground, some of Python's documentation for plain English."""
    from pydoc_data.topics import topics

    texts = [chat_text(example.prompt, example.answer) for example in examples(12_000, seed=seed)]
    return train_tokenizer([*texts, *list(topics.values())[:40]])


def tiny_sequences(
    tokenizer: Tokenizer,
    seed: int,
    start: int = 0,
    recipes: Iterable[str] = RECIPES,
    answers_only: bool = False,
) -> Iterator[Sequence]:
    """Endless examples of the `synth-tiny` corpus, from document ``start`` on, the recipes in turn.

    Documents are mostly random words that nothing can predict. They teach a new model to copy; one that can
    copy learns faster from the answers alone.
    """
    turn = tokenizer.token_to_id(START)
    assert turn is not None
    stream = examples(None, seed=seed, start=start, recipes=tuple(recipes))
    while pool := list(islice(stream, 256)):
        for encoded in tokenizer.encode_batch([chat_text(example.prompt, example.answer) for example in pool]):
            ids = encoded.ids
            yield Sequence(ids, len(ids) - 1 - ids[::-1].index(turn) if answers_only else 0)


def load_saved(folder: Path) -> tuple[LlamaForCausalLM, Tokenizer, Record]:
    """Model, tokenizer and record that `Save` wrote."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    kept = json.loads((folder / _RECORD).read_text("utf-8"))
    record = Record(**{name: kept[name] for name in Record.__dataclass_fields__ if name in kept})
    return model, Tokenizer.from_file(str(folder / "tokenizer.json")), record


def main(arguments: list[str] | None = None) -> None:
    """Train `synth-tiny`."""
    parser = argparse.ArgumentParser(description="Train synth-tiny from scratch.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--resume", type=Path, help="folder of a model that this program saved; training goes on from it"
    )
    parser.add_argument("--answers-only", action="store_true", help="count the loss on answers only")
    parser.add_argument(
        "--recipes", default=",".join(RECIPES), help="recipes in turn; name one more often to stress it"
    )
    parser.add_argument("--peak-rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: torch's default")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    shape, schedule = Shape(), Schedule(options.minutes, peak_rate=options.peak_rate, seed=options.seed)
    if options.resume:
        model, tokenizer, record = load_saved(options.resume)
    else:
        tokenizer = tiny_tokenizer(options.seed)
        model, record = build_model(shape, tokenizer, options.seed), Record()
    # Folders by their name only: where they lay on one machine says nothing to others.
    words = [Path(word).name if "/" in word else word for word in arguments or sys.argv[1:]]
    record.commands.append("python -m synth_platform.pilot.train " + " ".join(words))
    facts: dict[str, object] = {
        "seed": options.seed,
        "data_digest": digest([example.prompt + example.answer for example in examples(1000, seed=options.seed)]),
        "parameters": model.num_parameters(),
        "torch": torch.__version__,
        "shape": asdict(shape),
        "schedule": asdict(schedule),
    }
    print(f"synth-tiny: {model.num_parameters():,} parameters, {options.minutes:g} minutes", flush=True)
    save = Save(options.out, tokenizer, facts)
    unseen = record.steps * schedule.batch + schedule.batch * _POOL_BATCHES
    start = unseen if record.steps else 0
    recipes = options.recipes.split(",")
    sequences = tiny_sequences(tokenizer, options.seed, start, recipes, options.answers_only)
    pad = tokenizer.token_to_id(PAD)
    assert pad is not None
    train(model, sequences, schedule, save, pad, record)
    print(f"done: {options.out}", flush=True)


if __name__ == "__main__":
    main()
