"""A stand-in for the program `docker`: `compose exec` and `compose run` of docker/'s scripts as plain processes.

Another user than the image's (`--user`) cannot write where that one keeps things.
"""

import json
import os
import sys
from pathlib import Path

_STATE = "docker-client.json"
RUNNING = "running"
"""File beside the program: names of the containers of runs that `docker ps` shows."""


def install(
    folder: Path,
    service: dict[str, str],
    command: list[str],
    paths: dict[str, str],
    programs: Path,
    entrypoint: Path,
) -> Path:
    """Put a `docker` into a folder, for the front of PATH.

    Args:
        folder: made here.
        service: variables of the service `prepare`.
        command: what it runs unless something else is asked for.
        paths: what is elsewhere outside of containers, by its path inside.
        programs: folder of PostgreSQL's programs.
        entrypoint: of the image.
    """
    folder.mkdir()
    state = {
        "service": service,
        "command": command,
        "paths": paths,
        "programs": str(programs),
        "entrypoint": str(entrypoint),
    }
    (folder / _STATE).write_text(json.dumps(state))
    program = folder / "docker"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__)} {folder / _STATE} "$@"\n')
    program.chmod(0o755)
    return folder


def main(state: Path, arguments: list[str]) -> None:
    """Become the command that is meant, or do nothing (`stop`, `up`)."""
    known = json.loads(state.read_text())
    match arguments:
        case ["compose", "exec", "-T", "postgres", program, *rest]:
            service = known["service"]
            variables = {f"PG{name}": service[f"DAGSTER_POSTGRES_{name}"] for name in ("HOST", "PORT")}
            password = Path(service["DAGSTER_POSTGRES_PASSWORD_FILE"]).read_text().strip()
            path = f"{known['programs']}/{program}"
            os.execve(path, [path, *rest], {**os.environ, **variables, "PGPASSWORD": password})
        case ["compose", "run", *rest] if "prepare" in rest:
            options, command = rest[: rest.index("prepare")], rest[rest.index("prepare") + 1 :]
            paths, variables = dict(known["paths"]), dict(known["service"])
            if "--volume" in options:
                outside, inside, *_ = options[options.index("--volume") + 1].split(":")
                paths[inside] = outside
            if "--user" in options:
                variables["SYNTH_HOME"] = "/dev/null/belongs-to-another-user"
            for inside, outside in paths.items():
                command = [part.replace(inside, outside) for part in command]
            command = command or known["command"]
            os.execve(known["entrypoint"], [known["entrypoint"], *command], variables)
        case ["ps", "-q", "--filter", "label=dagster/run_id", "--filter", "network=synth_platform"]:
            running = state.with_name(RUNNING)
            print(running.read_text() if running.exists() else "", end="")
            return
        case ["compose", "stop" | "up", *_]:
            return
    sys.exit(f"not known here: {arguments}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
