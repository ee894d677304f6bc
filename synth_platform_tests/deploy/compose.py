"""docker/compose.yaml as data, and its services as plain processes."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
SETTINGS = {
    "SYNTH_UI_ORIGIN": "https://synth.test",
    "SYNTH_VIEW_ORIGIN": "https://view.synth.test",
    "SYNTH_DATASETS": "/srv/datasets",
    "SYNTH_SOURCES": "/srv/sources",
    "SYNTH_PUBLISH": "/srv/published",
}
"""The least that .env must say."""
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


def program(name: str) -> str:
    """Where a program is that the tests run; without it they are skipped."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def interpolate(node: Any, variables: Mapping[str, str]) -> Any:
    """A part of a Compose file with its variables filled in, by Compose's own rules."""
    if isinstance(node, dict):
        return {key: interpolate(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [interpolate(value, variables) for value in node]
    if not isinstance(node, str):
        return node

    def value(found: re.Match[str]) -> str:
        name, rule, otherwise = found.groups()
        given = variables.get(name)
        missing = given is None or (rule is not None and rule.startswith(":") and given == "")
        if not missing:
            return given or ""
        if rule is not None and rule.endswith("?"):
            raise KeyError(f"{name}: {otherwise}")
        return otherwise or ""

    return _VARIABLE.sub(value, node).replace("$$", "$")


def read_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """The Compose file as Compose would see it."""
    return interpolate(yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8")), variables)


def image_environment(target: str = "platform") -> dict[str, str]:
    """Variables that the Dockerfile sets for a target."""
    stage = re.split(rf"^FROM .* AS {target}$", (DOCKER / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)[1]
    lines = stage.split("\nFROM ")[0].replace("\\\n", " ").splitlines()
    return dict(pair.split("=", 1) for line in lines if line.startswith("ENV ") for pair in line.split()[1:])


@dataclass
class Services:
    """Runs services of the Compose file as processes, with the commands and environments that stand there.

    Args:
        compose: the file, interpolated.
        replaced: what is another thing outside of containers (paths, hosts with ports), by what stands in the file.
        base: variables that every process has, as an image would set them.
        logs: folder for what the processes print.
        overrides: variables whose values differ outside of containers, where a service has them.
    """

    compose: dict[str, Any]
    replaced: dict[str, str]
    base: dict[str, str]
    logs: Path
    overrides: dict[str, str] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def environment(self, service: str) -> dict[str, str]:
        """Variables of a service, the image's among them."""
        given = self.compose["services"][service].get("environment", {})
        here = {name: self.overrides.get(name) or self._here(service, str(value)) for name, value in given.items()}
        return {**self.base, **here}

    def command(self, service: str) -> list[str]:
        """The service's command."""
        return [self._here(service, part) for part in self.compose["services"][service]["command"]]

    def start(self, service: str) -> subprocess.Popen[bytes]:
        """Start a service through the image's entrypoint."""
        with (self.logs / f"{service}.log").open("ab") as log:
            self.running[service] = subprocess.Popen(
                [str(DOCKER / "entrypoint"), *self.command(service)],
                env=self.environment(service),
                cwd=self.logs,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.running[service]

    def health_check(self, service: str) -> Callable[[], subprocess.CompletedProcess[str]]:
        """The service's health check, with no variables but the service's own."""
        kind, *command = (
            self._here(service, part) for part in self.compose["services"][service]["healthcheck"]["test"]
        )
        assert kind == "CMD"
        command = [part.replace("/app/entrypoint", str(DOCKER / "entrypoint")) for part in command]
        environment = self.environment(service)
        return lambda: subprocess.run(
            # `env` looks for the program in the service's PATH, not in this process's.
            ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *command],
            cwd=self.logs,
            capture_output=True,
            text=True,
            check=False,
        )

    def kill(self, service: str) -> None:
        """SIGKILL to a service and all its children, as the end of a container is."""
        process = self.running.pop(service)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End everything."""
        for service in list(self.running):
            process = self.running[service]
            if process.poll() is None:
                self.kill(service)

    def log(self, service: str) -> str:
        """What a service printed so far."""
        return (self.logs / f"{service}.log").read_text("utf-8", "replace")

    def allowed_requests(self, service: str) -> Callable[[str, str], bool]:
        """Which requests the socket proxy of this service lets through, by method and path."""
        rules = [part[len("-allow") :].split("=", 1) for part in self.command(service) if part.startswith("-allow")]
        patterns = {name: re.compile(rule[0]) for name, *rule in rules if name.isupper()}
        return lambda method, path: method in patterns and bool(patterns[method].fullmatch(path.split("?")[0]))

    def _here(self, service: str, text: str) -> str:
        """A value of the file as it is outside of containers; ``service|text`` is replaced in that service only."""
        for old, new in self.replaced.items():
            only, _, name = old.rpartition("|")
            if not only or only == service:
                text = text.replace(name, new)
        return text
