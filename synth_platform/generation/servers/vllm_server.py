"""One vLLM server of our own: started on a free port, watched until ready, stopped for certain."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from synth_platform.errors import EngineError
from synth_platform.generation.config import HUB_TOKENS, UNSAFE_WEIGHTS, VllmEngine
from synth_platform.generation.servers.client import Endpoint, free_port
from synth_platform.generation.servers.environment import SERVER_MODULE, EngineEnvironment, clean_variables
from synth_platform.processes import die_with_parent, is_alive, start_time, this_host
from synth_platform.prompts.tokenizer import hub_revision, model_folder

_POLL_SECONDS = 0.5
_STOP_SECONDS = 15.0
_TAIL_LINES = 25
_TELL_SECONDS = 5.0
_MEMORY_LINES = 200
_OUT_OF_MEMORY = re.compile(r"out of memory|OutOfMemory|MemoryError|Cannot allocate memory|No available memory", re.I)
_SIGNALS_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class VllmServer:
    """A server process and its log.

    The server dies with this process, even if that is killed; should the kernel have missed it, the next
    start in the same folder finds it by its recorded pid and start time and ends it.

    Args:
        spec: model and arguments.
        environment: the engine's environment.
        folder: for the log and the record of the running server.
        name: for people, and of the log.
        variables: environment variables of this server alone, such as its GPUs.
        tell: hears how far a start is.
    """

    def __init__(
        self,
        spec: VllmEngine,
        environment: EngineEnvironment,
        folder: Path,
        *,
        name: str = "vllm",
        variables: Mapping[str, str] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = name
        self._spec, self._environment, self._folder = spec, environment, folder
        self._variables, self._tell = dict(variables or {}), tell
        self._process: subprocess.Popen[bytes] | None = None
        self._record: Path | None = None
        self._starts = 0
        self.log = folder / f"{name}.log"
        self.endpoint = Endpoint("http://127.0.0.1:0/v1", spec.model)

    def launch(self, changes: Mapping[str, Any] | None = None) -> None:
        """Start the process. The thread that calls must live as long as the server: the kernel ends it with it.

        Args:
            changes: arguments other than the spec's, for this start.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", self._spec.model)
        spec = self._spec.model_copy(update={"arguments": {**self._spec.arguments, **(changes or {})}})
        command = [str(self._environment.python), "-m", SERVER_MODULE, *_arguments(spec, port)]
        self._tell(
            f"engine: starting {self.name} ({self._environment.package} {self._environment.version},"
            f" {spec.model}; log: {self.log})"
        )
        self._starts += 1
        with self.log.open("a" if self._starts > 1 else "w") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=_variables(spec, self._environment) | self._variables,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self._write_record(self._process.pid)

    def await_ready(self) -> None:
        """Wait until a completion came back.

        Raises:
            EngineError: it died or was not ready in time; with the log's end.
        """
        assert self._process is not None
        _await_ready(self._process, self.endpoint, self._spec, self.log, self._tell)

    def stop(self) -> None:
        """End it and all it started."""
        if self._process is not None:
            _end_group(self._process.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        if self._record is not None:
            self._record.unlink(missing_ok=True)

    def ran_out_of_memory(self) -> bool:
        """Whether the end of its log says so."""
        return _OUT_OF_MEMORY.search(log_tail(self.log, _MEMORY_LINES)) is not None

    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def was_killed(self) -> bool:
        """Whether somebody ended it from outside: no request makes a server send itself such a signal."""
        code = self.exit_code()
        return code is not None and -code in _SIGNALS_FROM_OUTSIDE

    def _write_record(self, pid: int) -> None:
        self._record = self._folder / f"server-{pid}.json"
        owner = {"host": this_host(), "owner": os.getpid(), "owner_started": start_time(os.getpid())}
        self._record.write_text(json.dumps({"pid": pid, "started": start_time(pid), **owner}), "utf-8")


@dataclass(frozen=True)
class Orphan:
    """A server whose owner is gone.

    Args:
        record: the file that tells of it.
        pid: of the server, and number of its process group.
        running: whether it still is there.
    """

    record: Path
    pid: int
    running: bool

    def end(self) -> None:
        """End it with all it started, and forget it."""
        if self.running:
            _end_group(self.pid)
        self.record.unlink(missing_ok=True)


def orphans(folder: Path) -> Iterator[Orphan]:
    """Servers of this host, recorded in a folder or below, whose owner was killed."""
    for record in sorted(folder.rglob("server-*.json")):
        try:
            known = json.loads(record.read_text("utf-8"))
            owner, started = known["owner"], known["owner_started"]
            running = is_alive(known["pid"], known["started"])
        except (FileNotFoundError, ValueError, KeyError):
            continue
        if known.get("host", this_host()) == this_host() and not is_alive(owner, started):
            yield Orphan(record, known["pid"], running)


def end_orphans(folder: Path) -> int:
    """End servers whose owner was killed; how many there were."""
    found = list(orphans(folder))
    for orphan in found:
        orphan.end()
    return sum(orphan.running for orphan in found)


def log_tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The end of a log, indented."""
    text = log.read_text("utf-8", errors="replace") if log.exists() else ""
    return "\n".join("    " + line[:300] for line in text.splitlines()[-lines:])


def check_weights(spec: VllmEngine) -> None:
    """Refuse what could run code when loaded, unless it is asked for by name.

    Raises:
        EngineError: the folder has no .safetensors weights.
    """
    folder = model_folder(spec.model)
    if folder is not None and not spec.trusts(spec.model):
        names = [path.name for path in folder.iterdir()]
        if not any(name.endswith(".safetensors") for name in names):
            unsafe = next((name for name in names if name.endswith(UNSAFE_WEIGHTS)), None)
            raise EngineError(
                f"the model's weights are in {unsafe}, which can run code when loaded"
                if unsafe
                else "the model has no .safetensors weights",
                where=str(folder),
                fix=f"convert it to safetensors, or, if you trust it: engine.trust_remote_code: [{spec.model}]",
            )


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
    folder = model_folder(spec.model)
    revision = None if folder else hub_revision(spec.model, spec.revision) or spec.revision
    arguments: dict[str, Any] = {
        "model": str(folder or spec.model),
        "served_model_name": spec.model,
        "host": "127.0.0.1",
        "port": port,
        "max_model_len": spec.context_length,
        **({"revision": revision} if revision else {}),
        **({"tokenizer": str(model_folder(spec.tokenizer) or spec.tokenizer)} if spec.tokenizer else {}),
        # A folder was looked at; of a model on the hub, nothing but safetensors is even fetched.
        **({"load_format": "safetensors"} if folder is None and not spec.trusts(spec.model) else {}),
        **({"trust_remote_code": True} if spec.trust_remote_code else {}),
        **spec.arguments,
    }
    flags: list[str] = []
    for name, value in arguments.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(flag if value else "--no-" + name.replace("_", "-"))
        elif isinstance(value, dict | list):
            flags += [flag, json.dumps(value)]
        elif value is not None:
            flags += [flag, str(value)]
    return flags


def _variables(spec: VllmEngine, environment: EngineEnvironment) -> dict[str, str]:
    variables = clean_variables([*HUB_TOKENS, *spec.pass_secrets]) | {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if model_folder(spec.model) is not None:
        variables["HF_HUB_OFFLINE"] = "1"
    if environment.kind == "cpu":
        variables.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    path = f"{environment.python.parent}:{variables.get('PATH', '')}"
    return variables | {"PATH": path} | spec.environment


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
