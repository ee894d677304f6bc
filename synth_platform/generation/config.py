"""Settings of the engine that generates: a vLLM server of our own, or servers that others run."""

import math
import os
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from synth_platform.config import SecretVariable, StrictModel
from synth_platform.secrecy import is_secret_name

# Set by the platform itself, or able to let others in or to load code from files.
RESERVED_ARGUMENTS = frozenset(
    [
        "allowed_local_media_path",
        "api_key",
        "config",
        "headless",
        "host",
        "max_model_len",
        "middleware",
        "model",
        "model_tag",
        "port",
        "reasoning_parser_plugin",
        "revision",
        "served_model_name",
        "tokenizer",
        "tool_parser_plugin",
        "uds",
        "worker_cls",
        "worker_extension_cls",
    ]
)
UNSAFE_WEIGHTS = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
"""Weights in these files can hold code, which runs when they are loaded."""
_UNSAFE_LOAD_FORMATS = frozenset(["auto", "npcache", "pt"])
"""Values of load_format with which vLLM reads such files; `auto` where there is nothing else."""
OUTPUT_NEUTRAL_ARGUMENTS = frozenset(
    [
        "async_scheduling",
        "block_size",
        "cpu_offload_gb",
        "disable_custom_all_reduce",
        "enable_chunked_prefill",
        "enable_prefix_caching",
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "max_num_batched_tokens",
        "max_num_seqs",
        "max_parallel_loading_workers",
        "num_gpu_blocks_override",
        "swap_space",
    ]
)
"""Arguments that change how fast the engine is, not what it writes: they are not part of its digest."""


OUTPUT_NEUTRAL_VARIABLES = frozenset(
    [
        "CUDA_VISIBLE_DEVICES",
        "HF_HOME",
        "HF_HUB_OFFLINE",
        "OMP_NUM_THREADS",
        "VLLM_CPU_KVCACHE_SPACE",
        "VLLM_CPU_OMP_THREADS_BIND",
        "VLLM_LOGGING_LEVEL",
    ]
)
"""The same of environment variables."""

HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Secrets that a server gets unasked, to fetch its model."""


class ClientSettings(StrictModel):
    """How requests are sent, and what an hour costs."""

    concurrency: int = Field(default=64, ge=1, le=8192)
    """Most requests in flight at one server. Fewer are kept where a server falls behind."""
    request_seconds: float = Field(default=600.0, gt=0)
    """Longest wait for one answer."""
    attempts: int = Field(default=5, ge=1, le=20)
    """Tries that may fail while the server answers others, before the row is recorded as failed."""
    patience_seconds: float = Field(default=900.0, gt=0)
    """How long no server may answer anything before the run ends, to be gone on with later."""
    seeds: bool = False
    """Send each row's seed with its request. vLLM's CPU build dies of it; on GPUs it costs speed."""
    price_per_hour: Annotated[float, Field(ge=0)] | None = None
    """What an hour of one GPU costs (of one server, where it has none), in your currency."""


class VllmEngine(ClientSettings):
    """vLLM servers that the platform starts, watches, restarts and stops."""

    type: Literal["vllm"] = "vllm"
    """Kind of engine."""
    model: str = Field(min_length=1)
    """``synth-tiny``, a folder, or a name on the Hugging Face hub."""
    revision: str | None = None
    """Revision on the hub; pin it for reproducible data."""
    tokenizer: str | None = None
    """Tokenizer, if it is not the model's own."""
    context_length: int = Field(default=8192, ge=64)
    """Tokens that prompt and answer share (vLLM's max_model_len)."""
    replicas: int = Field(default=1, ge=1, le=256)
    """Servers. Each gets GPUs of its own (tensor_parallel_size x pipeline_parallel_size), or its share of the cores."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """More arguments of vLLM by name, such as max_num_seqs or speculative_config."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the server; no secrets."""
    pass_secrets: list[str] = Field(default_factory=list)
    """Names of secret variables of the platform's own environment that the server needs, such as
    AWS_SECRET_ACCESS_KEY; it gets the hub's token without asking, and no other secret."""
    tuned: bool = False
    """Where `arguments` says nothing, use what `synth tune` found best for this dataset."""
    trust_remote_code: list[str] = Field(default_factory=list)
    """Models and tokenizers, named as above, that may run code of their own here: Python files beside the weights,
    or weights in .bin, .pt or .pkl files. Read them first, and pin the revision."""
    startup_seconds: float = Field(default=900.0, gt=0)
    """Longest wait for a server to be ready."""
    stall_seconds: float = Field(default=300.0, gt=0)
    """Restart a server that has requests, answers none, and makes no token for so long."""

    @field_validator("arguments")
    @classmethod
    def _check_arguments(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        for name in arguments:
            if not name.isidentifier():
                raise ValueError(f"{name!r} is no argument of vLLM; write it with '_', as in max_num_seqs")
            if name == "trust_remote_code":
                raise ValueError("name the models that may run code of their own: engine.trust_remote_code: [NAME]")
            if name in RESERVED_ARGUMENTS:
                raise ValueError(f"{name!r} is set by the platform, or would let others in; remove it")
        return arguments

    @field_validator("environment")
    @classmethod
    def _check_environment(cls, environment: dict[str, str]) -> dict[str, str]:
        for name in filter(is_secret_name, environment):
            raise ValueError(
                f"{name} looks like a secret, and a spec is no place for one; set it where the platform runs, and"
                f" write pass_secrets: [{name}]"
            )
        return environment

    @model_validator(mode="after")
    def _check_trust(self) -> Self:
        used = {self.model, self.tokenizer or self.model}
        if unused := sorted(set(self.trust_remote_code) - used):
            raise ValueError(f"trust_remote_code names {unused[0]!r}, which is neither the model nor its tokenizer")
        load_format = self.arguments.get("load_format")
        if load_format in _UNSAFE_LOAD_FORMATS and not self.trusts(self.model):
            raise ValueError(
                f"load_format {load_format} may load weights that run code; leave it out, or allow this model to:"
                f" trust_remote_code: [{self.model}]"
            )
        return self

    def trusts(self, name: str) -> bool:
        """Whether a model or tokenizer may run code of its own."""
        return name in self.trust_remote_code

    @property
    def runs_here(self) -> bool:
        """Whether this machine needs the engine's environment."""
        return True

    @property
    def gpus_per_replica(self) -> int:
        """GPUs that one server uses where there are any."""
        sizes = (self.arguments.get(name, 1) for name in ("tensor_parallel_size", "pipeline_parallel_size"))
        return math.prod(int(size) for size in sizes)


class RayEngine(VllmEngine):
    """vLLM servers on the nodes of a Ray cluster, one per actor of a pool; needs the extra ``ray``."""

    type: Literal["ray"] = "ray"  # type: ignore[assignment]
    """Kind of engine."""
    address: str | None = None
    """Address of the cluster, such as auto or head:6379. None: Ray's own choice (RAY_ADDRESS, or this machine)."""
    cpus_per_replica: float = Field(default=1.0, gt=0)
    """CPUs that each actor reserves."""

    @property
    def runs_here(self) -> bool:
        return self.address is None and "RAY_ADDRESS" not in os.environ


class EndpointEngine(ClientSettings):
    """OpenAI-compatible servers that others run."""

    type: Literal["endpoint"] = "endpoint"
    """Kind of engine."""
    urls: list[str] = Field(min_length=1)
    """Base addresses, such as http://10.0.0.5:8000/v1. All must serve the same model."""
    model: str = Field(min_length=1)
    """Name under which the servers know the model."""
    revision: str | None = None
    """Which weights they serve, if you know: part of what a row's request is known by."""
    tokenizer: str | None = None
    """Folder or hub name of the model's tokenizer; None: as `model`."""
    api_key_env: SecretVariable | None = None
    """Environment variable that holds the key; the key itself is never written anywhere."""
    context_length: int = Field(default=8192, ge=64)
    """Tokens that prompt and answer share."""

    @field_validator("urls")
    @classmethod
    def _check_urls(cls, urls: list[str]) -> list[str]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{url!r} is no http address")
            if parts.username or parts.password or parts.query:
                raise ValueError("an address holds a user, a password or a query; name the key with api_key_env")
        if len(set(urls)) < len(urls):
            raise ValueError("an address is named twice")
        return [url.rstrip("/") for url in urls]


EngineSpec = Annotated[VllmEngine | RayEngine | EndpointEngine, Field(discriminator="type")]


class TuningSpec(StrictModel):
    """How the engine's settings are swept for speed."""

    prompts: int = Field(default=270, ge=9)
    """Prompts of the last round; earlier rounds have a ninth and a third of them."""
    candidates: int = Field(default=12, ge=2, le=500)
    """Settings that are tried in the first round."""
    space: dict[str, list[Any]] | None = None
    """Values to try by name of argument, null for the engine's default; None: a space for the machine at hand."""


class BudgetSpec(StrictModel):
    """What one version of the generations may cost in all, however often its run is stopped and gone on with."""

    output_tokens: Annotated[int, Field(gt=0)] | None = None
    """Tokens that the engine may write. Never exceeded: a request is sent only if its longest answer fits."""
    engine_hours: Annotated[float, Field(gt=0)] | None = None
    """Hours of GPUs (of servers, where there are none). What is in flight then is waited for."""
    cost: Annotated[float, Field(gt=0)] | None = None
    """The same in money; needs engine.price_per_hour."""
