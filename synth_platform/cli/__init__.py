"""`synth`: make datasets, look at them, and prove them, from the terminal."""

from synth_platform.cli import contamination, make, screen, team, versions
from synth_platform.cli.base import app, errors_for_people

__all__ = ["app", "contamination", "main", "make", "screen", "team", "versions"]


def main() -> None:
    """Run `synth`."""
    with errors_for_people():
        app()
