"""Releases arrive whole or not at all, are sent once, and readers can be pointed back to an earlier one."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from huggingface_hub import HfApi
from pydantic import TypeAdapter, ValidationError

from synth_platform.errors import StorageError, SynthError
from synth_platform.release.build import TRAIN
from synth_platform.release.config import BucketDestination, DestinationSpec, FolderDestination, HubDestination
from synth_platform.release.destinations import Destination, Shelf, open_destination
from synth_platform.release.hub import Hub
from synth_platform.release.publish import publish
from synth_platform.snapshots import Identity, Snapshot, Snapshots, SnapshotWriter
from synth_platform.snapshots.store import LocalStore, S3Store, open_store
from synth_platform_tests.release.hub_server import TOKEN, HubState, hub_server
from synth_platform_tests.snapshots.deaths import dying_after, overtaken_before

ROWS = 6000
STORE_CALLS = ("read", "replace", "files")
HUB_CALLS = ("list_repo_refs", "list_repo_commits", "repo_info", "create_branch", "create_commit")


def release(root: Path, *parts: str, cycle: str | None = None, dataset: str = "small") -> Snapshot:
    """A release with one file per word; the same word gives the same file in every release."""
    snapshots = Snapshots(open_store(str(root / "data")), root / "cache")
    identity = Identity(f"{dataset}/release", cycle, "1", {"parts": parts})
    writer = SnapshotWriter(snapshots, identity, {"train": TRAIN}, scratch=root / "scratch", folder="data")
    for word in parts:
        rows = {"id": [f"{word}-{n}" for n in range(ROWS)], "text": [f"{word} {n * 7919}" for n in range(ROWS)]}
        blank = {name: pl.lit(None, kind) for name, kind in TRAIN.items() if name not in rows}
        writer.write("train", pl.DataFrame(rows).with_columns(**blank).select(TRAIN.names()))
        writer.end_part("train")
    writer.add_file("README.md", f"---\nlicense: other\n---\n# {' '.join(parts)}\n".encode())
    snapshot = writer.commit()
    snapshots.set_head(snapshot, "test")
    return snapshot


@dataclass
class Place:
    """A destination, and a way to see what readers of it see."""

    spec: DestinationSpec
    look: Callable[[], dict[str, bytes]]
    hub: HubState | None = None

    def of_cycle(self, cycle: str) -> dict[str, bytes]:
        """What readers of one cycle find."""
        if self.hub is not None:
            return _without_own(self.hub.content(f"cycle-{cycle}"))
        return _current_files(self.spec.name, f"cycles/{cycle}.json")

    def open(self) -> Destination:
        return open_destination(self.spec, Path())


@pytest.fixture(params=["folder", "s3", "hub"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "hub":
        with hub_server() as state:
            use_hub(state, monkeypatch)
            spec = HubDestination(type="huggingface", repo="owner/name")
            yield Place(spec, lambda: _without_own(state.content()), state)
        return
    if request.param == "folder":
        spec = FolderDestination(type="folder", path=str(tmp_path / "published"))
        url = spec.path
    else:
        spec = BucketDestination(type="s3", url=request.getfixturevalue("s3_root"))
        url = spec.url
    yield Place(spec, lambda: _current_files(url))


def use_hub(state: HubState, monkeypatch: pytest.MonkeyPatch, token: str = TOKEN) -> None:
    """Have the client talk to the stand-in, which knows the plain way of large files only."""
    monkeypatch.setenv("HF_ENDPOINT", state.url)
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("synth_platform.release.hub._FIRST_PAUSE", 0.01)


def _without_own(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if path != ".gitattributes"}


def _current_files(url: str, name: str = "current.json") -> dict[str, bytes]:
    """What a reader of a pointer finds."""
    store = open_store(url)
    pointer = json.loads(store.read(name))
    return {file["path"]: store.read(f"{pointer['path']}/{file['path']}") for file in pointer["files"]}


def content(version: Snapshot) -> dict[str, bytes]:
    return {entry.path: path.read_bytes() for entry, path in version.local_files()}


def test_a_release_arrives_as_it_is_and_what_is_there_is_not_sent_again(place: Place, tmp_path: Path) -> None:
    first, second = release(tmp_path, "red", "green"), release(tmp_path, "red", "blue")
    sent = place.open().publish(first)
    assert place.look() == content(first) and place.open().pointers()[None] == first.manifest.snapshot_id
    assert sent.sent == sent.bytes == sum(len(data) for data in content(first).values())
    assert place.open().publish(first).sent == 0
    shared = max(part.bytes for part in second.manifest.tables["train"].parts)
    sent = place.open().publish(second)
    assert place.look() == content(second) and place.open().pointers()[None] == second.manifest.snapshot_id
    if place.hub is None:
        assert sent.sent <= sent.bytes - shared * 0.9
    else:
        assert place.hub.uploads == sum(
            len(data) for path, data in (content(first) | content(second)).items() if path.endswith(".parquet")
        ) - _twice(first, second)


def _twice(first: Snapshot, second: Snapshot) -> int:
    """Bytes of files of two releases that are the same under two names."""
    digests = {part.digest for part in first.manifest.tables["train"].parts}
    return sum(part.bytes for part in second.manifest.tables["train"].parts if part.digest in digests)


def test_readers_are_pointed_back_to_an_earlier_version_and_forward_again(place: Place, tmp_path: Path) -> None:
    first, second = release(tmp_path, "red"), release(tmp_path, "blue", "green")
    for version in (first, second, first, second):
        place.open().publish(version)
        assert place.look() == content(version) and place.open().pointers()[None] == version.manifest.snapshot_id
    if place.hub is not None:
        for version in (first, second):
            tagged = place.hub.content(f"v-{version.manifest.snapshot_id}")
            assert _without_own(tagged) == content(version)


def test_a_version_is_withdrawn_but_never_the_current_one(place: Place, tmp_path: Path) -> None:
    zeroth, first, second = release(tmp_path, "white"), release(tmp_path, "red", "green"), release(tmp_path, "red")
    for version in (zeroth, first, second):
        place.open().publish(version)
    with pytest.raises(StorageError, match="is the current version"):
        place.open().withdraw(second.manifest.snapshot_id)
    if place.hub is not None:  # each step of it may fail once
        steps = ("POST .*/branch/", "POST .*/super-squash/cut", "DELETE .*/tag/", "POST .*/tag/", "DELETE .*/branch/")
        place.hub.faults = [(step, 503, False) for step in steps]
        with pytest.raises(StorageError, match="the hub refused"):
            place.open().withdraw(first.manifest.snapshot_id)
    assert place.open().withdraw(first.manifest.snapshot_id) is True
    assert place.look() == content(second) and place.open().pointers()[None] == second.manifest.snapshot_id
    assert place.open().withdraw(first.manifest.snapshot_id) is False
    if place.hub is not None:
        kept = [one.manifest.snapshot_id for one in (zeroth, second)]
        assert set(place.hub.tags) == {f"v-{one}" for one in kept} and set(place.hub.branches) == {"main"}
        assert place.hub.reachable() == {f"small: version {one}" for one in kept}
        assert _without_own(place.hub.content(f"v-{kept[0]}")) == content(zeroth)
    else:
        left = {path.split("/")[1] for path in open_store(place.spec.name).files("versions")}
        assert left == {zeroth.manifest.snapshot_id, second.manifest.snapshot_id}


def test_a_version_of_an_earlier_cycle_arrives_without_moving_readers_back(place: Place, tmp_path: Path) -> None:
    january, patched = (release(tmp_path, *words, cycle="2026-01-01") for words in (("red", "blue"), ("red",)))
    february = release(tmp_path, "green", cycle="2026-02-01")
    assert place.open().publish(january).current and place.open().publish(february).current
    assert not place.open().publish(patched).current
    assert place.look() == content(february) and place.open().pointers()[None] == february.manifest.snapshot_id
    versions = {one.manifest.snapshot_id: one for one in (january, february, patched)}
    assert place.open().versions() == sorted(versions)
    for name, version in versions.items():
        (tmp_path / name).mkdir()
        tables = {one.read_bytes() for one in place.open().tables(name, tmp_path / name)}
        assert tables == {data for path, data in content(version).items() if path.endswith(".parquet")}
    assert place.of_cycle("2026-01-01") == content(patched)
    pointers = place.open().pointers()
    assert pointers[None] == february.manifest.snapshot_id and pointers["2026-01-01"] == patched.manifest.snapshot_id
    assert place.open().publish(january, back=True).current and place.look() == content(january)
    assert place.of_cycle("2026-01-01") == content(january), "readers of the cycle are pointed back too"
    assert place.open().publish(february).current and place.look() == content(february)


def test_a_version_of_an_earlier_cycle_is_withdrawn_wherever_it_is_named(place: Place, tmp_path: Path) -> None:
    january, patched = (release(tmp_path, *words, cycle="2026-01-01") for words in (("red", "blue"), ("red",)))
    february = release(tmp_path, "green", cycle="2026-02-01")
    last = release(tmp_path, "white", cycle="2026-01-01")
    for version in (january, february, patched, last):
        place.open().publish(version)
    for version in (january, patched, last):
        assert place.open().withdraw(version.manifest.snapshot_id)
    assert place.look() == content(february) and place.open().versions() == [february.manifest.snapshot_id]
    if place.hub is not None:
        assert place.hub.reachable() == {f"small: version {february.manifest.snapshot_id} of 2026-02-01"}
        assert set(place.hub.branches) == {"main"}
    else:
        assert open_store(place.spec.name).files("cycles") == ["cycles/2026-02-01.json"]


def test_a_place_belongs_to_one_dataset(place: Place, tmp_path: Path) -> None:
    ours, later = release(tmp_path, "red", cycle="2026-01-01"), release(tmp_path, "blue", cycle="2026-02-01")
    for cycle, back in (("2026-03-01", False), ("2025-12-01", False), ("2025-12-01", True), (None, False)):
        others = release(tmp_path, "green", cycle=cycle, dataset="other")
        place.open().publish(ours, back=True)
        with pytest.raises(StorageError, match=r"(?s)belongs to the dataset 'small'.*place of its own for 'other'"):
            place.open().publish(others, back=back)
        assert place.look() == content(ours) and place.open().versions() == [ours.manifest.snapshot_id]
    assert place.open().publish(later).current


def test_of_two_datasets_that_begin_at_a_place_at_once_one_gets_it(place: Place, tmp_path: Path) -> None:
    """The other one came while the files of the first were being sent."""
    ours, others = release(tmp_path, "red"), release(tmp_path, "green", dataset="other")
    kind = {"folder": LocalStore, "s3": S3Store, "huggingface": HfApi}[place.spec.type]
    sending = "copy_in" if place.hub is None else "create_commit"
    with (
        overtaken_before(0, kind, [sending], lambda: place.open().publish(others)),
        pytest.raises(StorageError, match="belongs to the dataset 'other'"),
    ):
        place.open().publish(ours)
    assert place.look() == content(others)


def test_a_repository_whose_commits_name_no_dataset_is_published_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions of the platform named none."""
    january, february = (release(tmp_path, word, cycle=f"2026-0{n}-01") for n, word in enumerate(("red", "blue"), 1))
    spec = HubDestination(type="huggingface", repo="owner/name")
    with hub_server() as state:
        use_hub(state, monkeypatch)
        Hub(spec).publish(february)
        title = f"Version {february.manifest.snapshot_id} of 2026-02-01"
        state.add("main", title, state.revision("main").files, None)
        assert Hub(spec).pointers() == {None: february.manifest.snapshot_id}
        assert not Hub(spec).publish(january).current


def overtakings(
    place: Place, work: Callable[[], object], before: Callable[[], object], overtaking: Callable[[], object]
) -> Iterator[None]:
    """Let a publication be overtaken by another one, before each of its calls of the store or the hub in turn.

    Args:
        place: the destination.
        work: the publication.
        before: what happens before it.
        overtaking: what overtakes it.
    """
    kinds = {"folder": LocalStore, "s3": S3Store, "huggingface": HfApi}
    kind, methods = kinds[place.spec.type], HUB_CALLS if place.hub is not None else STORE_CALLS
    for call in count():
        before()
        with overtaken_before(call, kind, methods, overtaking) as calls:
            work()
        if call >= len(calls):
            return
        yield


def test_of_two_publications_at_once_readers_keep_the_later_cycle(place: Place, tmp_path: Path) -> None:
    last, now, next_one = (
        release(tmp_path, word, cycle=f"2026-0{month}-01") for month, word in enumerate(("red", "green", "blue"), 1)
    )
    for _ in overtakings(
        place,
        lambda: place.open().publish(now),
        lambda: place.open().publish(last, back=True),
        lambda: place.open().publish(next_one),
    ):
        assert place.open().pointers()[None] == next_one.manifest.snapshot_id
        assert place.look() == content(next_one)
        assert place.of_cycle("2026-02-01") == content(now)


def test_readers_who_are_pointed_back_stay_there_whatever_is_published_at_once(place: Place, tmp_path: Path) -> None:
    last, now, next_one = (
        release(tmp_path, word, cycle=f"2026-0{month}-01") for month, word in enumerate(("red", "green", "blue"), 1)
    )
    patched = release(tmp_path, "white", cycle="2026-01-01")

    def publish_next() -> None:
        for version in (last, now, next_one):
            place.open().publish(version)

    for _ in overtakings(
        place,
        lambda: place.open().publish(now, back=True),
        publish_next,
        lambda: place.open().publish(patched),
    ):
        assert place.look() == content(now)
    assert not place.open().publish(last).current and place.look() == content(now)
    assert place.open().publish(next_one).current and place.look() == content(next_one)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_many_publish_at_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("s3_root") if kind == "s3" else str(tmp_path / "published")
    versions = [release(tmp_path, str(month), cycle=f"2026-0{month}-01") for month in range(1, 6)]
    for turn in range(4):
        shelf = Shelf("shelf", open_store(f"{url}/{turn}"))
        for threads in range(2):  # in the second round all files are there, and only the pointers are written
            with ThreadPoolExecutor(len(versions)) as pool:
                list(pool.map(lambda one, shelf=shelf: shelf.publish(one), versions))
            assert _current_files(f"{url}/{turn}") == content(versions[-1]), threads
            shelf.publish(versions[0], back=True)


def test_a_place_that_an_earlier_version_of_the_platform_made_is_published_to(tmp_path: Path) -> None:
    january, february = (release(tmp_path, word, cycle=f"2026-0{n}-01") for n, word in enumerate(("red", "blue"), 1))
    patched = release(tmp_path, "white", cycle="2026-01-01")
    spec = FolderDestination(type="folder", path="published")
    for version in (january, february):
        open_destination(spec, tmp_path).publish(version)
    shutil.rmtree(tmp_path / "published" / "moves")
    assert not open_destination(spec, tmp_path).publish(patched).current
    assert _current_files(str(tmp_path / "published")) == content(february)
    shutil.rmtree(tmp_path / "published" / "moves", ignore_errors=True)
    assert open_destination(spec, tmp_path).publish(january, back=True).current
    assert not open_destination(spec, tmp_path).publish(release(tmp_path, "grey", cycle="2025-12-01")).current
    assert _current_files(str(tmp_path / "published")) == content(january)


def test_what_a_publisher_that_died_had_decided_is_done_by_the_next(tmp_path: Path) -> None:
    january, february = (release(tmp_path, word, cycle=f"2026-0{n}-01") for n, word in enumerate(("red", "blue"), 1))
    shelf = Shelf("shelf", open_store(str(tmp_path / "published")))
    shelf.publish(january)
    with suppress(KeyboardInterrupt), overtaken_before(3, LocalStore, ["replace"], _die) as calls:
        shelf.publish(february)
    assert len(calls) == 4, "the index of the files, the cycle's pointer, the move, and the pointer"
    assert _current_files(str(tmp_path / "published")) == content(january)
    for version in (january, february):
        with pytest.raises(StorageError, match="is the current version"):
            shelf.withdraw(version.manifest.snapshot_id)
    assert not shelf.publish(january).current
    assert _current_files(str(tmp_path / "published")) == content(february)


def _die() -> None:
    raise KeyboardInterrupt


def test_nothing_is_published_yet(place: Place, tmp_path: Path) -> None:
    assert place.open().pointers() == {} and place.open().versions() == []
    assert place.open().withdraw("0" * 16) is False


def test_what_another_version_has_lost_is_sent(tmp_path: Path) -> None:
    first, second = release(tmp_path, "red", "green"), release(tmp_path, "red", "blue")
    spec = FolderDestination(type="folder", path="published")
    open_destination(spec, tmp_path).publish(first)
    shelf = tmp_path / "published"
    for path in (shelf / "versions" / first.manifest.snapshot_id).rglob("*.parquet"):
        path.unlink()
    open_destination(spec, tmp_path).publish(second)
    assert _current_files(str(shelf)) == content(second)


def test_a_damaged_pointer_or_index_is_written_anew(tmp_path: Path) -> None:
    version = release(tmp_path, "red")
    spec = FolderDestination(type="folder", path="published")
    open_destination(spec, tmp_path).publish(version)
    for path in (tmp_path / "published").rglob("*.json"):
        if path.name in ("current.json", "version.json"):
            path.write_bytes(b"{")
    assert open_destination(spec, tmp_path).pointers() == {}
    assert open_destination(spec, tmp_path).publish(version).sent == 0
    assert _current_files(str(tmp_path / "published")) == content(version)


def test_a_version_without_its_tag_is_withdrawn_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = release(tmp_path, "red"), release(tmp_path, "blue")
    spec = HubDestination(type="huggingface", repo="owner/name")
    with hub_server() as state:
        use_hub(state, monkeypatch)
        Hub(spec).publish(first)
        state.tags.clear()
        Hub(spec).publish(second)
        assert Hub(spec).withdraw(first.manifest.snapshot_id) is True
        assert state.reachable() == {f"small: version {second.manifest.snapshot_id}"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubState]:
    with hub_server() as state:
        use_hub(state, monkeypatch)
        yield state


def by_hand(state: HubState, files: dict[str, str], title: str = "Update README.md") -> None:
    """A commit that somebody made in the hub's web page."""
    state.add("main", title, files, state.branches["main"])


HUB = HubDestination(type="huggingface", repo="owner/name")


@pytest.mark.parametrize("title", ["Update README.md", "Version 2", "Version 2 of 2026"])
def test_a_card_that_was_edited_by_hand_hides_no_version(hub: HubState, tmp_path: Path, title: str) -> None:
    january, february = (release(tmp_path, word, cycle=f"2026-0{n}-01") for n, word in enumerate(("red", "blue"), 1))
    first, patched = (release(tmp_path, word, cycle="2026-01-01") for word in ("white", "grey"))
    for version in (first, january, february):
        Hub(HUB).publish(version)
    by_hand(hub, {**hub.revision("main").files, "README.md": _edited(hub), "LICENSE": _edited(hub)}, title)
    ids = [one.manifest.snapshot_id for one in (first, january, february)]
    assert Hub(HUB).pointers() == {None: ids[2]}
    with pytest.raises(StorageError, match="is the current version"):
        Hub(HUB).withdraw(ids[2])
    with pytest.raises(StorageError, match="belongs to the dataset 'small'"):
        Hub(HUB).publish(release(tmp_path, "green", dataset="other"))
    assert not Hub(HUB).publish(patched).current, "readers of February are not moved back"
    assert Hub(HUB).withdraw(ids[0]) is True
    assert Hub(HUB).pointers()[None] == ids[2], "once the history is squashed, too"
    assert hub.content()["README.md"] == b"edited" and f"small: version {ids[2]} of 2026-02-01" in hub.reachable()
    assert Hub(HUB).publish(february).current and _without_own(hub.content()) == content(february)


def _edited(state: HubState) -> str:
    state.objects["edited"] = b"edited"
    return "edited"


def test_readers_have_the_version_whose_rows_were_brought_back_by_hand(hub: HubState, tmp_path: Path) -> None:
    first, second, third = (release(tmp_path, *words) for words in (("red",), ("blue", "green"), ("white",)))
    for version in (first, second, third):
        Hub(HUB).publish(version)
    ids = [one.manifest.snapshot_id for one in (first, second, third)]
    by_hand(hub, hub.revision(f"v-{ids[0]}").files, f'Revert "small: version {ids[2]}"')
    assert Hub(HUB).pointers() == {None: ids[0]}
    with pytest.raises(StorageError, match="is the current version"):
        Hub(HUB).withdraw(ids[0])
    assert Hub(HUB).publish(first).sent == 0 and Hub(HUB).pointers() == {None: ids[0]}
    assert Hub(HUB).withdraw(ids[1]) is True and Hub(HUB).pointers() == {None: ids[0]}


def test_rows_that_were_changed_by_hand_are_said_and_published_over(hub: HubState, tmp_path: Path) -> None:
    first, second = release(tmp_path, "red"), release(tmp_path, "blue")
    for version in (first, second):
        Hub(HUB).publish(version)
    brought, added = dict(hub.revision("main").files), hub.revision(f"v-{first.manifest.snapshot_id}").files
    by_hand(hub, brought | {f"more/{Path(path).name}": oid for path, oid in added.items()}, "Upload rows")
    for ask in (Hub(HUB).pointers, lambda: Hub(HUB).withdraw(first.manifest.snapshot_id)):
        with pytest.raises(StorageError, match=rf"(?s)changed by hand after {second.manifest.snapshot_id}.*publish"):
            ask()
    assert f"v-{first.manifest.snapshot_id}" in hub.tags
    assert Hub(HUB).publish(second).current and _without_own(hub.content()) == content(second)
    assert Hub(HUB).pointers() == {None: second.manifest.snapshot_id}
    assert Hub(HUB).withdraw(first.manifest.snapshot_id) is True


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_torn_upload_never_moves_the_pointer(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The publisher dies before each of its writes in turn; the next one goes on."""
    url = request.getfixturevalue("s3_root") if kind == "s3" else str(tmp_path / "published")
    spec = TypeAdapter(DestinationSpec).validate_python(
        {"type": "s3", "url": url} if kind == "s3" else {"type": "folder", "path": url}
    )
    first, second = release(tmp_path, "red", "green"), release(tmp_path, "red", "blue", "white")
    open_destination(spec, Path()).publish(first)
    store = S3Store if kind == "s3" else LocalStore
    writes = 0
    while True:
        try:
            with dying_after(writes, store, "replace", "copy", "copy_in"):
                open_destination(spec, Path()).publish(second)
        except KeyboardInterrupt:
            assert _current_files(url) == content(first)
            writes = 1  # what came before is there already: each further try gets one write further
        else:
            break
    assert _current_files(url) == content(second)


def test_a_damaged_published_file_is_sent_again(tmp_path: Path) -> None:
    version = release(tmp_path, "red")
    spec = FolderDestination(type="folder", path="published")
    open_destination(spec, tmp_path).publish(version)
    damaged = next((tmp_path / "published" / "versions").rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert open_destination(spec, tmp_path).publish(version).sent == damaged.stat().st_size
    assert _current_files(str(tmp_path / "published")) == content(version)


def test_the_hub_may_stumble_and_lose_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = release(tmp_path, "red", "green")
    with hub_server() as state:
        use_hub(state, monkeypatch)
        state.faults = [("POST .*/commit/", 503, True), ("POST .*/tag/", 500, False), ("GET .*/tree/", 502, False)]
        Hub(HubDestination(type="huggingface", repo="owner/name")).publish(version)
        assert _without_own(state.content()) == content(version) and state.faults == []
        assert len(list(state.history())) == 2, "a commit whose answer was lost is not made twice"
        assert state.repo is not None and state.repo["visibility"] == "private"


def test_the_hubs_refusal_is_said_once_and_names_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = release(tmp_path, "red")
    spec = HubDestination(type="huggingface", repo="owner/name")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(StorageError, match="there is no token"):
        open_destination(spec, Path())
    with hub_server() as state:
        use_hub(state, monkeypatch, token="hf_wrong")
        with pytest.raises(StorageError, match="the hub refused") as refusal:
            open_destination(spec, Path()).publish(version)
        assert "hf_wrong" not in str(refusal.value)
        assert len([one for one in state.requests if "create" in one]) <= 2


def test_one_place_that_fails_does_not_keep_a_release_from_the_others(tmp_path: Path) -> None:
    version = release(tmp_path, "red")
    (tmp_path / "taken").write_text("a file, not a folder")
    places: list[DestinationSpec] = [FolderDestination(type="folder", path=path) for path in ("taken", "free")]
    snapshots = Snapshots(open_store(str(tmp_path / "data")), tmp_path / "cache")
    with pytest.raises(SynthError, match="did not arrive at 1 of 2"):
        publish(snapshots, version, places, tmp_path, lambda line: None)
    assert _current_files(str(tmp_path / "free")) == content(version)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "s3", "url": "s3://bucket"},
        {"type": "huggingface", "repo": "name"},
        {"type": "folder"},
        {"type": "ftp", "url": "x"},
        {"type": "huggingface", "repo": "a/b", "token": "hf_x"},
    ],
)
def test_a_wrong_destination_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(DestinationSpec).validate_python(wrong)
