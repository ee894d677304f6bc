"""A vLLM server of our own: started on a free port, watched until ready, stopped for certain."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from synth_platform.errors import EngineError
from synth_platform.generation.config import VllmEngine
from synth_platform.generation.environment import EngineEnvironment
from synth_platform.processes import is_alive, start_time
from synth_platform.prompts.tokenizer import model_folder

_POLL_SECONDS = 0.5
_STOP_SECONDS = 15.0
_TAIL_LINES = 25
_TELL_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_UNSAFE_WEIGHTS = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


@dataclass(frozen=True)
class Endpoint:
    """Where to send requests."""

    url: str
    """Base address, ending in /v1."""
    model: str
    key: str | None = None


@contextlib.contextmanager
def run_server(
    spec: VllmEngine, environment: EngineEnvironment, folder: Path, tell: Callable[[str], None]
) -> Iterator[Endpoint]:
    """Start a server, give its address once a completion came back, and stop it at the end.

    The server dies with this process, even if that is killed; should the kernel have missed it, the next
    start finds it by its recorded pid and start time and ends it.

    Args:
        spec: model and arguments.
        environment: the engine's environment.
        folder: for the log and the record of the running server.
        tell: hears how far the start is.

    Raises:
        EngineError: the model is refused, or the server died or was not ready in time; with the log's end.
    """
    _check_weights(spec)
    folder.mkdir(parents=True, exist_ok=True)
    end_orphans(folder)
    port = _free_port()
    log = folder / f"vllm-{port}.log"
    command = [str(environment.python), "-m", "vllm.entrypoints.openai.api_server", *_arguments(spec, port)]
    tell(f"engine: starting {environment.package} {environment.version} with {spec.model} (log: {log})")
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=_variables(spec, environment),
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    record = folder / f"server-{process.pid}.json"
    owner = {"owner": os.getpid(), "owner_started": start_time(os.getpid())}
    server = {"pid": process.pid, "started": start_time(process.pid)}
    record.write_text(json.dumps(server | owner), "utf-8")
    try:
        endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", spec.model)
        _await_ready(process, endpoint, spec, log, tell)
        yield endpoint
    finally:
        _end_group(process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        record.unlink(missing_ok=True)


def end_orphans(folder: Path) -> int:
    """End servers whose owner was killed; how many there were."""
    ended = 0
    for record in folder.glob("server-*.json"):
        try:
            known = json.loads(record.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            continue
        if is_alive(known["owner"], known["owner_started"]):
            continue
        if is_alive(known["pid"], known["started"]):
            _end_group(known["pid"])
            ended += 1
        record.unlink(missing_ok=True)
    return ended


def log_tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The end of a log, indented."""
    text = log.read_text("utf-8", errors="replace") if log.exists() else ""
    return "\n".join("    " + line[:300] for line in text.splitlines()[-lines:])


def _await_ready(
    process: subprocess.Popen[bytes], endpoint: Endpoint, spec: VllmEngine, log: Path, tell: Callable[[str], None]
) -> None:
    started = told = time.monotonic()
    with httpx.Client(timeout=30.0, trust_env=False) as client:
        while True:
            waited = time.monotonic() - started
            if process.poll() is not None:
                raise EngineError(
                    f"the engine ended while starting (exit code {process.returncode}):\n{log_tail(log)}",
                    where=str(log),
                    fix="the log's end says why; check engine.model, engine.arguments and memory",
                )
            if waited > spec.startup_seconds:
                raise EngineError(
                    f"the engine was not ready after {waited:.0f} s:\n{log_tail(log)}",
                    where=str(log),
                    fix="raise engine.startup_seconds, or see the log",
                )
            if _answers(client, endpoint):
                tell(f"engine: ready after {waited:.0f} s at {endpoint.url}")
                return
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                tell(f"engine: starting, {waited:.0f} s")
            time.sleep(_POLL_SECONDS)


def _answers(client: httpx.Client, endpoint: Endpoint) -> bool:
    """Whether the server is healthy and really generates: a frozen engine still reports its health as good."""
    try:
        if client.get(endpoint.url.removesuffix("/v1") + "/health").status_code != 200:
            return False
        body = {"model": endpoint.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        return client.post(f"{endpoint.url}/chat/completions", json=body).status_code == 200
    except httpx.HTTPError:
        return False


def _arguments(spec: VllmEngine, port: int) -> list[str]:
    model = model_folder(spec.model)
    arguments: dict[str, Any] = {
        "model": str(model or spec.model),
        "served_model_name": spec.model,
        "host": "127.0.0.1",
        "port": port,
        "max_model_len": spec.context_length,
        **({"revision": spec.revision} if spec.revision else {}),
        **({"tokenizer": str(model_folder(spec.tokenizer) or spec.tokenizer)} if spec.tokenizer else {}),
        **spec.arguments,
    }
    flags: list[str] = []
    for name, value in arguments.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(flag if value else "--no-" + name.replace("_", "-"))
        elif isinstance(value, dict | list):
            flags += [flag, json.dumps(value)]
        else:
            flags += [flag, str(value)]
    return flags


def _variables(spec: VllmEngine, environment: EngineEnvironment) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables = kept | {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if model_folder(spec.model) is not None:
        variables["HF_HUB_OFFLINE"] = "1"
    if environment.kind == "cpu":
        variables.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    path = f"{environment.python.parent}:{variables.get('PATH', '')}"
    return variables | {"PATH": path} | spec.environment


def _check_weights(spec: VllmEngine) -> None:
    """Refuse what could run code when loaded, unless it is asked for by name."""
    folder = model_folder(spec.model)
    if folder is not None and "load_format" not in spec.arguments:
        names = [path.name for path in folder.iterdir()]
        if not any(name.endswith(".safetensors") for name in names):
            unsafe = next((name for name in names if name.endswith(_UNSAFE_WEIGHTS)), None)
            raise EngineError(
                f"the model's weights are in {unsafe}, which can run code when loaded"
                if unsafe
                else "the model has no .safetensors weights",
                where=str(folder),
                fix="convert it to safetensors, or set engine.arguments.load_format if you trust it",
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """In the child: have the kernel end it when the process that started it dies, however that happens."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end_group(pid: int) -> None:
    """SIGTERM to the whole process group, SIGKILL to what is left of it."""
    deadline = time.monotonic() + _STOP_SECONDS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGTERM)
        while time.monotonic() < deadline and _group_alive(pid):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.1)
        os.killpg(pid, signal.SIGKILL)


def _group_alive(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
