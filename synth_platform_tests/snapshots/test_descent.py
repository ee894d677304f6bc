"""What was made of documents is found, however it came about and whatever else is damaged."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter

from synth_platform.digest import digest_bytes
from synth_platform.generation.schema import GENERATIONS
from synth_platform.judging.schema import ASKED
from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.protect import DEFAULT_PRIVACY
from synth_platform.prompts.schema import PROMPTS
from synth_platform.snapshots.descent import find_descent
from synth_platform.snapshots.local_copies import LocalCopies
from synth_platform.snapshots.manifest import FileEntry
from synth_platform.snapshots.store import LocalStore
from synth_platform.snapshots.tombstones import NOTHING, RAW_DIGEST, TakenDown, Tombstone, read_tombstones
from synth_platform.sources.build import build_documents
from synth_platform.sources.config import SourceSpec
from synth_platform.sources.schema import DOCUMENTS, SKIPPED
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import write_jsonl
from synth_platform_tests.snapshots.handmade import table, version

SECRET = "The secret life of Mrs X, told by her neighbour, who had watched her from the window for many years."
A = {"id": "a", "url": "https://one.org/a", "text": SECRET}
B = {"id": "b", "url": "https://two.org/b", "text": SECRET}
NEAR = {"id": "near", "url": "https://three.org/n", "text": f"{SECRET} Again."}
OTHER = {"id": "o", "url": "https://o.org", "text": "Something else entirely, of no interest to anybody at all."}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


def asked(*documents: str, urls: tuple[str, ...] = (), **found: Any) -> Tombstone:
    """A tombstone of what is asked for."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Tombstone(id="20260101-a", at=at, by="officer", reason="", documents=documents, urls=urls, **found)


def select(
    folder: Path, rows: list[dict[str, str]], down: TakenDown = NOTHING, privacy: PrivacySpec = DEFAULT_PRIVACY
) -> dict[str, pl.DataFrame]:
    """Tables of a documents version of these rows."""
    write_jsonl(folder / "rows.jsonl", rows)
    columns = {"text": "text", "id": "id", "url": "url"}
    rules = {"exact_dedup": True, "near_dedup": {"threshold": 0.5}}
    described = {"type": "files", "name": "web", "path": "rows.jsonl", "columns": columns, "select": rules}
    source = TypeAdapter[SourceSpec](SourceSpec).validate_python(described)
    found = {"documents": [pl.DataFrame(schema=DOCUMENTS)], "skipped": [pl.DataFrame(schema=SKIPPED)]}
    batches = build_documents(
        [source],
        base=folder,
        seed=1,
        count_tokens=lambda texts: [len(one) for one in texts],
        used=frozenset(),
        scratch=folder / "scratch",
        taken_down=down,
        privacy=privacy,
    )
    for name, frame in batches:
        found[name].append(frame)
    return {name: pl.concat(frames) for name, frames in found.items()}


def test_what_a_judge_said_of_them_is_found(workspace: Workspace) -> None:
    documents = version(workspace, "ds/documents", {"documents": table(DOCUMENTS, id=["s/1"], text=[SECRET])})
    prompts = table(PROMPTS, id=["p1", "p2"], document_id=["s/1", "s/2"], source_text=[SECRET, "other"])
    made = version(workspace, "ds/prompts/faq", {"prompts": prompts}, documents.ref)
    answers = table(GENERATIONS, id=["g1", "g2"], prompt_id=["p1", "p2"], text=["of Mrs X", "of others"])
    given = version(workspace, "ds/generations/faq", {"generations": answers}, made.ref)
    put = table(ASKED, id=["j1"], generation_id=["g1"])
    question = version(workspace, "ds/judge_prompts/faq", {"prompts": put}, given.ref)
    said = table(GENERATIONS, id=["r1"], prompt_id=["j1"], text=["Mrs X has a secret life: 5"])
    version(workspace, "ds/judgements/faq", {"generations": said}, question.ref)
    other = table(GENERATIONS, id=["r2"], prompt_id=["j2"], text=["nothing of her"])
    version(workspace, "ds/judgements/table", {"generations": other}, question.ref)
    found = find_descent(workspace.snapshots, [asked("s/1")])
    assert found.ids["ds"]["judge_prompts"] == {"j1"} and found.ids["ds"]["judgements"] == {"r1"}
    holders = {one.manifest.asset.removeprefix("ds/") for one in found.holders}
    assert holders == {"documents", "prompts/faq", "generations/faq", "judge_prompts/faq", "judgements/faq"}
    assert found.problems == ()


@pytest.mark.parametrize("wanted", [asked("web/b"), asked(urls=("https://two.org/*",))])
def test_a_copy_that_was_left_out_leads_to_the_text_that_was_kept(wanted: Tombstone, workspace: Workspace) -> None:
    tables = select(workspace.home, [A, OTHER, NEAR, B])
    assert tables["skipped"].filter(pl.col("reason") == "duplicate")["detail"].to_list() == ["web/a"]
    version(workspace, "ds/documents", tables)
    found = find_descent(workspace.snapshots, [wanted])
    assert found.documents == {"web/a"} and len(found.holders) == 1 and found.left_out == ()


def test_what_was_only_left_out_is_said_with_what_it_resembles(workspace: Workspace) -> None:
    version(workspace, "ds/documents", select(workspace.home, [A, NEAR, OTHER]))
    found = find_descent(workspace.snapshots, [asked(urls=("https://three.org/*",))])
    assert found.documents == frozenset() and found.holders == ()
    (left,) = found.left_out
    assert (left.asset, left.reason, left.documents) == ("ds/documents", "near_duplicate", 1)
    assert left.examples[0].startswith("web/near (similarity 0.") and left.examples[0].endswith("to web/a)")


def test_copies_are_told_apart_over_many_rows(tmp_path: Path) -> None:
    """The kept row is found again across batches, and in later ones too."""
    texts = [f"text {n % 700} of which there are several, and each is of some length" for n in range(2000)]
    rows = [{"id": str(n), "url": f"https://x.org/{n}", "text": text} for n, text in enumerate(texts)]
    skipped = select(tmp_path, rows)["skipped"].filter(pl.col("reason") == "duplicate")
    assert skipped.height == 1300
    pairs = skipped.select("document_id", "detail").rows()
    assert all(int(kept[4:]) == int(row[4:]) % 700 for row, kept in pairs)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_copy_cannot_come_in_when_the_text_was_taken_down(workspace: Workspace) -> None:
    """Not when its owner took the first one out of the source, and not in a mixture of another dataset."""
    version(workspace, "ds/documents", select(workspace.home, [A, OTHER, B]))
    found = find_descent(workspace.snapshots, [asked("web/a")])
    down = TakenDown(found.documents, texts=found.texts)
    later = select(workspace.home, [B, OTHER], down)
    assert later["documents"]["id"].to_list() == ["web/o"]
    assert later["skipped"].select("document_id", "reason").rows() == [("web/b", "taken_down")]
    final = pl.DataFrame({"document_id": ["x", "x", "y"], "url": None, "text": [SECRET, SECRET, "y"]})
    final = final.with_columns(
        pl.col("url").cast(pl.String), pl.Series("origin", ["original", "synthetic", "original"])
    )
    assert final.select(down.matches("document_id")).to_series().to_list() == [True, False, False]


WITH_MAIL = f"{SECRET} She reads what is sent to mrs.x@lace-curtains.co.uk."
POLICIES = {"redacted": DEFAULT_PRIVACY, "kept": PrivacySpec(source={"email": "keep"})}


@pytest.mark.parametrize(("asked_of", "other"), [("redacted", "kept"), ("kept", "redacted")])
def test_the_same_text_is_known_whatever_became_of_its_personal_data(
    asked_of: str, other: str, workspace: Workspace
) -> None:
    """In a dataset with other policies: found where it is, and barred where it comes later."""
    a, b = ({**one, "text": WITH_MAIL} for one in (A, B))
    there = select(workspace.home, [a, OTHER], privacy=POLICIES[asked_of])
    elsewhere = select(workspace.home, [b, OTHER], privacy=POLICIES[other])
    assert there["documents"]["text"][0] != elsewhere["documents"]["text"][0]
    version(workspace, "ds/documents", there)
    version(workspace, "other/documents", elsewhere)
    found = find_descent(workspace.snapshots, [asked("web/a")])
    assert {dataset: ids["documents"] for dataset, ids in found.ids.items()} == {"ds": {"web/a"}, "other": {"web/b"}}
    assert {one.manifest.asset for one in found.holders} == {"ds/documents", "other/documents"}
    down = TakenDown.of([asked("web/a", texts=tuple(found.texts))], "third")
    later = select(workspace.home, [b, OTHER], down, POLICIES[other])
    assert later["skipped"].select("document_id", "reason").rows() == [("web/b", "taken_down")]


def test_versions_made_before_sources_digests_were_kept_are_compared_by_their_texts(workspace: Workspace) -> None:
    for dataset, row in (("ds", A), ("other", B)):
        rows = select(workspace.home, [row, OTHER])["documents"]
        version(workspace, f"{dataset}/documents", {"documents": rows.drop(RAW_DIGEST) if dataset == "other" else rows})
    for document in ("web/a", "web/b"):
        found = find_descent(workspace.snapshots, [asked(document)])
        assert found.problems == () and found.documents == {"web/a", "web/b"} and len(found.holders) == 2


def test_tombstones_without_digests_are_read(workspace: Workspace) -> None:
    old = {"format": 1, "id": "20250101-a", "at": "2025-01-01T00:00:00Z", "by": "x", "reason": "", "documents": ["a"]}
    old |= {"found": ["b"], "rows": {"prompts": ["p"]}}
    workspace.snapshots.store.create("_takedowns/20250101-a.json", json.dumps(old).encode())
    (read,) = read_tombstones(workspace.snapshots)
    assert read.ids_in("ds") == read.ids_in("other") == {"a", "b"} and read.names("p", "other")
    assert read.texts == () and not read.covers(Tombstone.model_validate({**old, "texts": ["t"]}))


def test_versions_that_cannot_be_read_are_problems_and_the_others_are_found(workspace: Workspace) -> None:
    version(workspace, "ds/documents", {"documents": table(DOCUMENTS, id=["s/1"], text=[SECRET])})
    torn = version(workspace, "other/prompts/faq", {"prompts": table(PROMPTS, id=["p"], document_id=["s/1"])})
    torn.files()[0].write_bytes(b"PAR1")
    bad = version(workspace, "other/generations/faq", {"generations": table(GENERATIONS, id=["g"], prompt_id=["p"])})
    (Path(bad.location) / "manifest.json").write_text("{")
    found = find_descent(Workspace(workspace.home).snapshots, [asked("s/1")])
    assert found.documents == {"s/1"} and [one.manifest.asset for one in found.holders] == ["ds/documents"]
    assert sorted(line.split(" ")[0] for line in found.problems) == ["other/generations/faq", "other/prompts/faq"]


def test_cached_copies_of_all_files_are_forgotten(workspace: Workspace, tmp_path: Path) -> None:
    made = version(workspace, "ds/documents", {"documents": table(DOCUMENTS, id=["s/1"], text=[SECRET])})
    store = LocalStore(Path(made.location).parents[1])
    folder = Path(made.location).relative_to(Path(made.location).parents[1]).as_posix()
    store.create(f"{folder}/README.md", b"of Mrs X")
    card = FileEntry(path="README.md", bytes=8, digest=digest_bytes(b"of Mrs X"))
    manifest = made.manifest.model_copy(update={"files": [card]})
    store.local = None  # as if it were remote
    copies = LocalCopies(store, tmp_path / "cache")
    for entry in (*manifest.tables["documents"].parts, card):
        copies.verified(folder, entry)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    copies.forget(folder, manifest)
    assert list((tmp_path / "cache").iterdir()) == []
