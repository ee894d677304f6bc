"""The generator's own tokenizer and chat template, without the generator."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from synth_platform.digest import digest, digest_bytes
from synth_platform.errors import SpecError

Message = dict[str, str]
SHIPPED_MODELS = ("synth-tiny",)
_CHECK_NAME = "check the name and the network, or give a local folder"


def model_folder(model: str) -> Path | None:
    """Local folder of a shipped model or of a path; None for a name on the hub."""
    if model in SHIPPED_MODELS:
        return Path(str(files("synth_platform.generation") / "models" / model))
    path = Path(model).expanduser()
    if path.is_dir():
        return path.absolute()
    if model.startswith((".", "/", "~")):
        raise SpecError("no such model folder", where=model, fix="check engine.model")
    return None


@dataclass(frozen=True)
class ChatTokenizer:
    """Counts tokens exactly as the engine will.

    Args:
        name: model it belongs to.
        config: content of tokenizer_config.json.
        template: the chat template's source.
    """

    name: str
    tokenizer: Tokenizer
    config: dict[str, Any]
    template: str

    @classmethod
    def load(
        cls,
        model: str,
        tokenizer: str | None = None,
        revision: str | None = None,
        *,
        key: str = "engine",
        served: bool = False,
    ) -> "ChatTokenizer":
        """Load the tokenizer of a model: a shipped name, a folder, or a name on the Hugging Face hub.

        Args:
            model: the model.
            tokenizer: where its tokenizer is, if it has none of its own.
            revision: of the model on the hub.
            key: of the engine in the spec, for errors.
            served: whether the model's name is what an endpoint calls it, which the hub need not know.

        Raises:
            SpecError: it cannot be found, or has no chat template.
        """
        name = tokenizer or model
        where, fix = f"{key}.{'tokenizer' if tokenizer else 'model'}", _CHECK_NAME
        if served and not tokenizer:
            fix = f"where the hub has the model under another name, set {key}.tokenizer to that, or to a local folder"
        folder = model_folder(name) or _from_hub(name, None if tokenizer else revision, where=where, fix=fix)
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise SpecError("the model has no tokenizer.json", where=str(folder), fix=f"set {key}.tokenizer")
        config = _read_json(folder / "tokenizer_config.json")
        return cls(name, Tokenizer.from_file(str(path)), config, _chat_template(folder, config))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens around it."""
        return [len(encoding.ids) for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character range of each token of a text."""
        return self.tokenizer.encode(text, add_special_tokens=False).offsets

    def render_chat(self, messages: Sequence[Message]) -> str:
        """The text that the engine will see, up to where the answer begins."""
        try:
            return self._compiled.render(messages=list(messages), add_generation_prompt=True, **self._special)
        except jinja2.TemplateError as error:
            raise SpecError(f"the chat template refused the messages: {error}", where=self.name) from None

    def count_chat(self, messages: Sequence[Message]) -> int:
        """Tokens of a whole prompt, chat template included."""
        return len(self.tokenizer.encode(self.render_chat(messages), add_special_tokens=False).ids)

    @cached_property
    def special_tokens(self) -> tuple[str, ...]:
        """Control tokens that must not be spelled out inside a document, longest first."""
        added = self.tokenizer.get_added_tokens_decoder().values()
        return tuple(sorted((token.content for token in added if token.special), key=len, reverse=True))

    def neutralise(self, text: str) -> tuple[str, int]:
        """Break up control tokens spelled out in a text, which could end the user's turn; the text, and how many."""
        count = 0
        for token in self.special_tokens:
            if len(token) > 1 and token in text:
                count += text.count(token)
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text, count

    @cached_property
    def digest(self) -> str:
        """Digest of vocabulary, rules and chat template."""
        return digest(digest_bytes(self.tokenizer.to_str().encode()), self.template)

    @cached_property
    def _special(self) -> dict[str, Any]:
        names = ("bos_token", "eos_token", "unk_token", "pad_token")
        values = {name: self.config.get(name) for name in names}
        return {
            name: value.get("content") if isinstance(value, dict) else value
            for name, value in values.items()
            if value is not None
        }

    @cached_property
    def _compiled(self) -> jinja2.Template:
        # The same dialect as in transformers, so that the text is the engine's to the last byte.
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        return environment.from_string(self.template)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _chat_template(folder: Path, config: dict[str, Any]) -> str:
    beside = folder / "chat_template.jinja"
    if beside.is_file():
        return beside.read_text("utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {entry["name"]: entry["template"] for entry in template}
        template = named.get("default")
    if not isinstance(template, str):
        raise SpecError(
            "the model has no chat template",
            where=str(folder),
            fix="use an instruction-tuned model, or put a chat_template.jinja beside its tokenizer",
        )
    return template


def hub_revision(name: str, revision: str | None) -> str | None:
    """The commit that a name on the hub stands for; None if neither the hub nor its cache can tell."""
    try:
        return _from_hub(name, revision).name
    except SpecError:
        return None


def _from_hub(name: str, revision: str | None = None, *, where: str = "engine.model", fix: str = _CHECK_NAME) -> Path:
    """Folder of the tokenizer's files in the hub's cache, fetched if need be; it is named like the commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        patterns = ["tokenizer*", "chat_template*", "special_tokens*"]
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise SpecError(
            f"the tokenizer of {name!r} cannot be had from the hub: {str(error).splitlines()[0]}",
            where=where,
            fix=fix,
        ) from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SpecError(f"not valid JSON: {error}", where=str(path)) from None
