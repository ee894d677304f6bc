"""Tables of commands: names that people copy are all there, however narrow it is."""

import json
from io import StringIO
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from synth_platform import terminal
from synth_platform.cli.base import open_console
from synth_platform.ops.forecast import Bill
from synth_platform.ops.plan import CyclePlan, Step
from synth_platform.workspace import Workspace
from synth_platform_tests.pipeline import synth
from synth_platform_tests.snapshots.handmade import version

ASSET, VERSION = "rust-book/contamination/judge_prompts", "0123456789abcdef"
WHY = "the template of the recipe faq changed, and so did what it was made from " * 2
VERSIONS = [
    {
        "asset": ASSET,
        "partition": None,
        "snapshot": VERSION,
        "rows": 1_234_567,
        "digest": "f" * 32,
        "current_since": "2026-11-30T19:47:02+00:00",
        "run": "7b1de4c0-8a0e-4a63-a1fb-d7b8e6f0c1a2",
        "removed": None,
    }
]


def in_terminal(width: int = 80) -> Console:
    return Console(width=width, file=StringIO(), force_terminal=True, color_system=None, soft_wrap=True)


def said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_whole_names_and_says_what_it_leaves_out() -> None:
    console = in_terminal()
    terminal.show_rows(console, VERSIONS, "", whole=("asset", "snapshot"), spare=("digest", "run"))
    text = said(console)
    assert ASSET in text and VERSION in text and "1,234,567" in text and "…" not in text
    assert "too narrow for digest and run: --json has them" in text
    console = in_terminal(300)
    terminal.show_rows(console, VERSIONS, "", whole=("asset", "snapshot"), spare=("digest", "run"))
    assert all(str(value) in said(console) for name, value in VERSIONS[0].items() if value and name != "rows")
    assert "removed" in said(console) and "narrow" not in said(console)


def test_long_text_gives_way_and_loses_no_character() -> None:
    console = in_terminal()
    where = f"{ASSET}/unpartitioned/{VERSION}"
    terminal.show_rows(console, [{"what": "version", "where": where, "bytes": 123_456, "why": WHY}], "")
    text = said(console)
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    cells = [line.split("│")[2].strip() for line in text.splitlines() if "│" in line]
    assert "".join(cells) == where


def test_a_plan_names_its_assets_whole() -> None:
    console = in_terminal()
    plan = CyclePlan(None, (Step(ASSET, "stale", "make", (WHY,)),))
    terminal.show_plan(console, "rust-book", [plan], Bill(None, None), [])
    text = said(console)
    assert ASSET in text and "…" not in text and max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("as_json", [False, True])
def test_where_there_is_no_terminal_every_row_is_one_line(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show_rows(open_console(as_json), [{**VERSIONS[0], "why": WHY}], "")
    written = capsys.readouterr()
    row = next(line for line in (written.err if as_json else written.out).splitlines() if ASSET in line)
    assert VERSION in row and WHY.strip() in row and "f" * 32 in row


def test_yes_and_no_are_no_numbers() -> None:
    console = in_terminal()
    rows: list[dict[str, Any]] = [{"destination": "a", "current": True}, {"destination": "b", "current": False}]
    terminal.show_rows(console, rows, "")
    assert "yes" in said(console) and "no" in said(console)
    assert not {"0", "1", "True", "False"} & set(said(console).split())


def test_versions_of_a_dataset_are_listed_with_the_test_sets_that_they_name(workspace: Workspace) -> None:
    def listed(*which: str) -> list[str]:
        return [row["asset"] for row in json.loads(synth("versions", *which, "--json", home=workspace.home).out)]

    rows = {"rows": pl.DataFrame({"id": ["a"]})}
    named = [version(workspace, "evals/gsm8k", rows, settings={"n": n}).ref for n in range(2)]
    version(workspace, "evals/other", rows)
    for ref in named:
        version(workspace, "small/contamination/index", rows, ref, settings=ref.model_dump())
    index = ["small/contamination/index"] * 2
    assert listed("small") == [*index, "evals/gsm8k", "evals/gsm8k"]
    assert listed("small/contamination/index") == index
    assert listed("evals") == ["evals/gsm8k", "evals/gsm8k", "evals/other"]
    assert len(listed()) == 5
