"""What a request is known by: everything that decides its answer, and nothing else.

Two requests with equal keys may share an answer; if anything differs that could change the answer, the keys do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_platform.digest import digest, digest_file, digest_texts
from synth_platform.file_digests import DigestFile
from synth_platform.generation.config import (
    OUTPUT_NEUTRAL_ARGUMENTS,
    OUTPUT_NEUTRAL_VARIABLES,
    UNSAFE_WEIGHTS,
    EndpointEngine,
    VllmEngine,
)
from synth_platform.prompts.tokenizer import hub_revision, model_folder

_MODEL_FILES = (".safetensors", ".json", ".jinja", ".model", ".txt", ".py")
_NOT_THE_MODEL = frozenset(["training.json"])


@dataclass(frozen=True)
class Request:
    """One request, as far as it decides the answer.

    Args:
        messages: the rendered chat messages, as JSON.
        sampling: every field that is sent with them, a JSON schema for the answer among them.
        seed: the row's own seed. It tells samples of the same prompt apart even where it is not sent.
        engine: digest of the engine, see `engine_digest`.
    """

    messages: str
    sampling: Mapping[str, Any]
    seed: int
    engine: str

    @property
    def key(self) -> str:
        """What the ledger knows it by."""
        return request_keys([self.messages], [self.seed], self.sampling, self.engine)[0]


def request_keys(messages: Sequence[str], seeds: Sequence[int], sampling: Mapping[str, Any], engine: str) -> list[str]:
    """Keys of requests that share sampling and engine."""
    shared = digest(engine, dict(sampling))
    return digest_texts(messages, [str(seed) for seed in seeds], [shared] * len(messages))


@dataclass(frozen=True)
class ServedModel:
    """What a server that others run says of itself.

    Args:
        root: the model behind the name.
        version: of the server, where it tells.
    """

    root: str
    version: str | None = None


def endpoint_digest(spec: EndpointEngine, served: ServedModel) -> str:
    """Digest of servers that others run; where they are does not count."""
    return digest("endpoint", spec.model, spec.revision, served.root, served.version)


def vllm_digest(spec: VllmEngine, version: str, digest_file: DigestFile = digest_file) -> str:
    """Digest of all of our own engine that decides what it writes; not of where it runs or how fast.

    Args:
        spec: its settings.
        version: package and version.
        digest_file: gives the digest of a local file, which it may know already.
    """
    given = {name: v for name, v in spec.arguments.items() if name not in OUTPUT_NEUTRAL_ARGUMENTS}
    arguments = {name: _pinned(v, digest_file) for name, v in given.items()}
    if spec.trust_remote_code:
        arguments["trust_remote_code"] = sorted(spec.trust_remote_code)
    variables = {name: v for name, v in spec.environment.items() if name not in OUTPUT_NEUTRAL_VARIABLES}
    tokenizer = model_digest(spec.tokenizer, digest_file=digest_file) if spec.tokenizer else None
    model = model_digest(spec.model, spec.revision, digest_file)
    return digest("vllm", version, model, tokenizer, arguments, variables)


def model_digest(model: str, revision: str | None = None, digest_file: DigestFile = digest_file) -> str:
    """Digest of a local model's files: weights, tokenizer, chat template, code; of a hub model, its name and commit."""
    folder = model_folder(model)
    if folder is None:
        return digest("hub", model, hub_revision(model, revision) or revision)
    weights = () if any(folder.glob("*.safetensors")) else UNSAFE_WEIGHTS
    suffixes = (*_MODEL_FILES, *weights)
    files = sorted(p for p in folder.iterdir() if p.suffix in suffixes and p.name not in _NOT_THE_MODEL)
    return digest([(path.name, digest_file(path)) for path in files])


def _pinned(value: Any, digest_file: DigestFile) -> Any:
    """A value, or the digest of the file that it names: a chat template may change under the same name."""
    if isinstance(value, str) and len(value) < 4096 and Path(value).is_file():
        return digest_file(Path(value))
    return value
