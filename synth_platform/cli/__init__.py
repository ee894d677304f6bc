"""`synth`: make datasets, look at them, and prove them, from the terminal."""

from synth_platform.cli import contamination, doctor, gc, make, plan, publish, schema, screen, takedown, team, versions
from synth_platform.cli.base import app, collect_rarely, errors_for_people

__all__ = [
    "app",
    "contamination",
    "doctor",
    "gc",
    "main",
    "make",
    "plan",
    "publish",
    "schema",
    "screen",
    "takedown",
    "team",
    "versions",
]


def main() -> None:
    """Run `synth`."""
    collect_rarely()
    with errors_for_people():
        app()
