"""Planted names through a whole run: an engine that repeats what it reads shows them, and no release does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synth_platform.privacy.canaries import canary_of, choose_documents
from synth_platform.privacy.rules import ALL
from synth_platform.review.page import REPORT
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import write_jsonl
from synth_platform_tests.pipeline import SEED, dataset, mock_engine, opened
from synth_platform_tests.test_screening import LOOSE, Made

STORY = "The mill at place {n} was built by its people long ago. It has stood at the river ever since, they say."
RECIPES = ("echo", "again")


@pytest.fixture
def made(workspace: Workspace, tokenizer_folder: Path, tmp_path: Path) -> Iterator[Made]:
    """A dataset of 30 documents in two recipes, before its first run; its engine repeats every prompt."""
    folder = tmp_path / "spec"
    write_jsonl(folder / "mills.jsonl", [{"id": f"d{n}", "text": STORY.format(n=n)} for n in range(30)])
    for name in RECIPES:
        (folder / f"{name}.jinja").write_text("{{ document }}" + f" Word of {name}." * 2)
    with opened(workspace) as instance, mock_engine(tmp_path, echo=True) as engine:
        attributes = dataset(
            engine.url,
            tokenizer_folder,
            sources=[source("mills", "rewrite", "mix_in")],
            recipes=[{"name": name, "template": f"{name}.jinja", "sampling": {"max_tokens": 200}} for name in RECIPES],
            quality={name: dict.fromkeys((*LOOSE, "max_echoed_words")) for name in RECIPES},
            benchmarks=None,
        )
        found = Made(workspace, instance, folder, attributes)
        found.job = None
        yield found


def source(name: str, *roles: str) -> dict[str, Any]:
    return {"name": name, "type": "files", "path": f"{name}.jsonl", "columns": {"id": "id"}, "roles": list(roles)}


def rows(made: Made, asset: str, table: str) -> pl.DataFrame:
    return made.head(asset).scan(table).collect()


def measured(made: Made) -> dict[str, float]:
    found = rows(made, "review", "measures").filter(pl.col("section") == "canaries")
    return dict(found.select("metric", "value").iter_rows())


def test_planted_names_are_counted_and_never_released(made: Made) -> None:
    assert made.run().success
    before = made.digests()
    assert measured(made) == {}
    assert "set <code>privacy.canaries</code>" in made.head("review").read_file(REPORT).decode()

    ended = made.run(privacy={"canaries": 6, "output": dict.fromkeys(ALL, "keep")})
    assert ended.success, ended.problems
    after = made.digests()
    assert before["documents"] == after["documents"], "the documents stay as they are"
    assert all(before[f"prompts/{name}"] != after[f"prompts/{name}"] for name in RECIPES)
    planted = [rows(made, f"prompts/{name}", "prompts").drop_nulls("canary") for name in RECIPES]
    assert planted[0].height == 6
    assert planted[0].select("document_id", "canary").equals(planted[1].select("document_id", "canary"))
    for prompts, name in zip(planted, RECIPES, strict=True):
        rejected = rows(made, f"accepted/{name}", "rejected")
        assert set(rejected["prompt_id"]) == set(prompts["id"])
        assert rejected["reasons"].to_list() == [["privacy:canary"]] * 6
        assert rows(made, f"accepted/{name}", "accepted").height == 24
    names = planted[0]["canary"].str.to_lowercase().to_list()
    texts = rows(made, "mixture", "mixture")["text"].str.to_lowercase()
    assert len(texts) == 78 and not texts.str.contains_any(names).any()
    found = measured(made)
    assert (found["planted"], found["shown"], found["outputs"], found["outputs_showing"]) == (6, 6, 12, 12)
    assert (found["share"], found["elsewhere"], found["decoys_shown"], found["released"]) == (1, 0, 0, 0)
    page = made.head("review").read_file(REPORT).decode().lower()
    assert "6 made-up names were planted" in page and not any(name in page for name in names)
    gate = next(one for one in made.evaluations(ended) if one.check_name == "canaries_released")
    assert gate.passed and gate.blocking


def test_a_mixture_with_a_planted_name_is_not_released(made: Made) -> None:
    # Nothing but a source can bring one in; the gate does not ask where it comes from.
    chosen = min(choose_documents([f"mills/d{n}" for n in range(30)], SEED, 6))
    note = {"id": "n", "text": f"A note that somebody called {canary_of(chosen, SEED).name.upper()} wrote long ago."}
    write_jsonl(made.folder / "notes.jsonl", [note])
    ended = made.run(sources=[source("mills", "rewrite"), source("notes", "mix_in")], privacy={"canaries": 6})
    gate = next(one for one in made.evaluations(ended) if one.check_name == "canaries_released")
    assert not gate.passed and not ended.success and measured(made)["released"] == 1
    assert made.workspace.snapshots.head("small/release", None) is None
