"""Print what a spec may say, for editors."""

import json

from synth_platform.cli.base import LOOK, app


@app.command(rich_help_panel=LOOK)
def schema() -> None:
    """Print the JSON schema of specs, with which editors complete and explain every key of a defs.yaml."""
    from synth_platform.dataset.spec import file_schema

    print(json.dumps(file_schema(), indent=2))
