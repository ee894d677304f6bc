"""Settings of the engine that generates: a vLLM server of our own, or servers that others run."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from synth_platform.config import StrictModel

# Arguments of `vllm serve` that a spec may set. What the platform sets itself (model, host, port, names) and
# what would change who may reach the server are left out.
VLLM_ARGUMENTS = frozenset(
    [
        "async_scheduling",
        "block_size",
        "calculate_kv_scales",
        "cascade_attention",
        "compilation_config",
        "cpu_offload_gb",
        "data_parallel_size",
        "disable_custom_all_reduce",
        "distributed_executor_backend",
        "dtype",
        "enable_chunked_prefill",
        "enable_expert_parallel",
        "enable_prefix_caching",
        "enforce_eager",
        "generation_config",
        "gpu_memory_utilization",
        "hf_overrides",
        "kv_cache_dtype",
        "kv_cache_memory_bytes",
        "limit_mm_per_prompt",
        "load_format",
        "logits_processors",
        "long_prefill_token_threshold",
        "max_cudagraph_capture_size",
        "max_logprobs",
        "max_num_batched_tokens",
        "max_num_seqs",
        "max_parallel_loading_workers",
        "num_gpu_blocks_override",
        "override_generation_config",
        "pipeline_parallel_size",
        "prefix_caching_hash_algo",
        "quantization",
        "reasoning_parser",
        "revision",
        "rope_scaling",
        "rope_theta",
        "scheduling_policy",
        "seed",
        "speculative_config",
        "swap_space",
        "tensor_parallel_size",
        "tokenizer_mode",
        "tokenizer_revision",
        "trust_remote_code",
    ]
)
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


class ClientSettings(StrictModel):
    """How requests are sent."""

    concurrency: int = Field(default=64, ge=1, le=8192)
    """Requests in flight over all recipes."""
    request_seconds: float = Field(default=600.0, gt=0)
    """Longest wait for one answer."""
    attempts: int = Field(default=5, ge=1, le=20)
    """Tries per request before the row is recorded as failed."""


class VllmEngine(ClientSettings):
    """A vLLM server that the platform starts, watches and stops."""

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
    arguments: dict[str, Any] = Field(default_factory=dict)
    """More arguments of vLLM by name, such as max_num_seqs or speculative_config."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the server."""
    startup_seconds: float = Field(default=900.0, gt=0)
    """Longest wait for the server to be ready."""

    @field_validator("arguments")
    @classmethod
    def _check_arguments(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        from difflib import get_close_matches

        for name in arguments:
            if name not in VLLM_ARGUMENTS:
                close = get_close_matches(name.replace("-", "_"), sorted(VLLM_ARGUMENTS), n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"{name!r} is no argument of vLLM that may be set here{hint}")
        return arguments


class EndpointEngine(ClientSettings):
    """OpenAI-compatible servers that others run."""

    type: Literal["endpoint"] = "endpoint"
    """Kind of engine."""
    urls: list[str] = Field(min_length=1)
    """Base addresses, such as http://10.0.0.5:8000/v1."""
    model: str = Field(min_length=1)
    """Name under which the server knows the model."""
    tokenizer: str | None = None
    """Folder or hub name of the model's tokenizer; None: as `model`."""
    api_key_env: str | None = None
    """Environment variable that holds the key; the key itself is never written anywhere."""
    context_length: int = Field(default=8192, ge=64)
    """Tokens that prompt and answer share."""

    @field_validator("urls")
    @classmethod
    def _check_urls(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"{url!r} is no http address")
        return [url.rstrip("/") for url in urls]


EngineSpec = Annotated[VllmEngine | EndpointEngine, Field(discriminator="type")]
