"""A dataset repository on the Hugging Face hub as a destination: a commit and a tag per version; `main` is the pointer.

With cycles `main` has a version of the newest one; later versions of earlier cycles are commits on branches of their
own, `cycle-<cycle>`, which follow their cycle from then on. The hub keeps every file once by its digest, so what an
earlier version had is not sent again, and a commit either holds all of its files or does not exist.

People commit there too, to mend the card for instance: the version that a branch has is then told by its rows.
"""

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1, sha256
from itertools import chain
from pathlib import Path
from typing import TypeVar

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, GitCommitInfo, HfApi, RepoFile
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import disable_progress_bars

from synth_platform.errors import StorageError
from synth_platform.release.config import HubDestination
from synth_platform.release.destinations import Sent, follows, refuse_others
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.identity import dataset_of

_TRIES = 4
_FIRST_PAUSE = 1.0
_BRANCH = "main"
_TITLE = re.compile(r"(?:(?P<dataset>\S+): v|V)ersion (?P<version>[0-9a-f]{16})(?: of (?P<cycle>\S+))?")
"""Of the commit that brings a version; earlier versions of this platform named no dataset."""
_TAG, _CYCLE, _CUT = "v-", "cycle-", "cut-"
_BLOCK_BYTES = 1 << 20
_OWN_FILES = frozenset({".gitattributes"})
"""Files that the hub itself puts into a repository."""
_ROWS = ".parquet"
"""How names of files with rows end."""
_PASSING = frozenset({408, 409, 412, 425, 429, 500, 502, 503, 504})
"""Of requests that may succeed later; 409 and 412: another commit is being made, or has been since we looked."""

_ERRORS = (httpx2.TransportError, HfHubHTTPError, ConnectionError, RuntimeError)
"""What the client raises: of requests, of the hub's answers, of its faster transfer, and of uploads in threads."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _Head:
    """The newest commit of a branch, and what readers of the branch have.

    Args:
        branch: the branch.
        commit: id of its newest commit; None: there is none.
        title: of the commit that brought what it has.
        version: the version that it has; where its rows were changed by hand, the last one that was brought.
        cycle: the version's cycle.
        dataset: the version's dataset.
        by_hand: whether its rows were changed by hand, to those of no version.
    """

    branch: str
    commit: str | None = None
    title: str = ""
    version: str | None = None
    cycle: str | None = None
    dataset: str | None = None
    by_hand: bool = False


class Hub:
    """A dataset repository.

    Args:
        spec: names it; the token is that of HF_TOKEN, and HF_ENDPOINT names another hub.
        pause: waits between tries, seconds.
    """

    def __init__(self, spec: HubDestination, pause: Callable[[float], None] = time.sleep) -> None:
        token = os.environ.get("HF_TOKEN")
        if not token:
            raise StorageError("there is no token for the hub", where=spec.name, fix="set HF_TOKEN")
        self.name, self._spec, self._pause = spec.name, spec, pause
        self._api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token)
        disable_progress_bars()

    def publish(self, version: Snapshot, *, back: bool = False) -> Sent:
        files = {entry.path: local for entry, local in version.local_files()}
        size = sum(local.stat().st_size for local in files.values())
        return self._patiently(lambda: self._publish(version, files, size, back=back))

    def pointers(self) -> dict[str | None, str]:
        return self._patiently(lambda: dict(self._pointers()))

    def versions(self) -> list[str]:
        return sorted(self._patiently(self._revisions))

    def tables(self, version_id: str, scratch: Path) -> Iterator[Path]:
        api, repo = self._api, self._spec.repo
        revision = self._patiently(self._revisions)[version_id]
        for path in self._patiently(lambda: [one.path for one in self._tree(revision)]):
            if path.endswith(_ROWS):
                options = {"repo_type": "dataset", "revision": revision, "local_dir": scratch / version_id}
                yield Path(
                    self._patiently(lambda path=path, options=options: api.hf_hub_download(repo, path, **options))
                )

    def withdraw(self, version_id: str) -> bool:
        """Remove a version's tag, and what only earlier commits of the branches hold."""
        if self._patiently(lambda: self._current(self._branches())).version == version_id:
            raise StorageError(f"{version_id} is the current version", where=self.name, fix="publish another one first")
        return self._patiently(lambda: self._withdraw(version_id))

    def _pointers(self) -> Iterator[tuple[str | None, str]]:
        for branch in self._branches():
            if branch == _BRANCH or branch.startswith(_CYCLE):
                head = self._head(branch)
                self._refuse_changed(head)
                if head.version is not None:
                    yield (None if branch == _BRANCH else head.cycle), head.version

    def _branches(self) -> list[str]:
        try:
            return [one.name for one in self._api.list_repo_refs(self._spec.repo, repo_type="dataset").branches]
        except RepositoryNotFoundError:
            return []

    def _current(self, branches: Collection[str]) -> _Head:
        """What readers take, of a repository with these branches."""
        return self._head(_BRANCH) if _BRANCH in branches else _Head(_BRANCH)

    def _head(self, branch: str) -> _Head:
        commits = self._commits(branch)
        if not commits:
            return _Head(branch)
        newest, ours = commits[0], _ours(commits)
        has = newest if newest in ours else self._with_rows_of(newest, ours)
        title = (has or next(iter(ours), newest)).title
        by_hand = has is None and bool(ours)
        return _Head(branch, newest.commit_id, title, *_version_in(title), by_hand=by_hand)

    def _with_rows_of(self, commit: GitCommitInfo, ours: Sequence[GitCommitInfo]) -> GitCommitInfo | None:
        """The commit of ours with the same rows: of these, or of a tag, whose commit may be in no branch any more."""
        rows = self._rows(commit)
        tags = self._api.list_repo_refs(self._spec.repo, repo_type="dataset").tags if rows else []
        tagged = (one for tag in tags if tag.name.startswith(_TAG) for one in _ours(self._commits(tag.name))[:1])
        return next((one for one in chain(ours, tagged) if self._rows(one) == rows), None)

    def _rows(self, commit: GitCommitInfo) -> dict[str, str]:
        """Path and digest of its files with rows."""
        return {one.path: one.blob_id for one in self._tree(commit.commit_id) if one.path.endswith(_ROWS)}

    def _refuse_changed(self, head: _Head) -> None:
        if head.by_hand:
            raise StorageError(
                f"the Parquet files of the branch {head.branch} were changed by hand after {head.version}",
                where=self.name,
                fix="publish again, which replaces them; a branch of your own, delete",
            )

    def _publish(self, version: Snapshot, files: dict[str, Path], size: int, *, back: bool) -> Sent:
        m, repo = version.manifest, self._spec.repo
        dataset = dataset_of(m.asset)
        self._api.create_repo(repo, repo_type="dataset", private=self._spec.private, exist_ok=True)
        branches, of_cycle = self._branches(), f"{_CYCLE}{m.partition}"
        main = self._current(branches)
        refuse_others(self.name, main.dataset, dataset)
        moves = back or follows(m.partition, main.cycle)
        if not moves:
            self._api.create_branch(repo, branch=of_cycle, revision=_BRANCH, repo_type="dataset", exist_ok=True)
        taking = [] if moves and of_cycle not in branches else [self._head(of_cycle)]
        taking += [main] if moves else []
        title = _title(dataset, m.snapshot_id, m.partition)
        sent = [self._commit(m.snapshot_id, title, files, head) for head in taking]
        return Sent(len(files), size, sent[0], moves)

    def _commit(self, version_id: str, title: str, files: dict[str, Path], head: _Head) -> int:
        """Make the files the branch's, all at once, if its head is still this one; bytes that were not there before."""
        api, repo, commit = self._api, self._spec.repo, head.commit
        before = {one.path: one for one in self._tree(commit or head.branch)}
        adds = [CommitOperationAdd(path, local) for path, local in files.items()]
        stale = [CommitOperationDelete(path) for path in before if path not in files and path not in _OWN_FILES]
        changed = [path for path, local in files.items() if path not in before or not _same(before[path], local)]
        if changed or stale:
            commit = api.create_commit(
                repo,
                [*adds, *stale],
                commit_message=title,
                repo_type="dataset",
                revision=head.branch,
                parent_commit=commit,
            ).oid
        self._check(commit or head.branch, files)
        api.create_tag(repo, tag=_tag(version_id), revision=commit, repo_type="dataset", exist_ok=True)
        return sum(files[path].stat().st_size for path in changed)

    def _check(self, revision: str, files: dict[str, Path]) -> None:
        there = {one.path: one for one in self._tree(revision)}
        for path, local in files.items():
            if path not in there or not _same(there[path], local):
                raise StorageError(f"{path} is not what was sent", where=self.name, fix="publish it again")

    def _revisions(self) -> dict[str, str]:
        """By version, a revision that has it: its tag; else a commit, of which the tag was never made."""
        try:
            refs = self._api.list_repo_refs(self._spec.repo, repo_type="dataset")
        except RepositoryNotFoundError:
            return {}
        found: dict[str, str] = {}
        for branch in refs.branches:
            for commit in self._commits(branch.name):
                if (version := _version_in(commit.title)[0]) is not None:
                    found.setdefault(version, commit.commit_id)
        tags = {one.name.removeprefix(_TAG): one.name for one in refs.tags if one.name.startswith(_TAG)}
        return found | tags

    def _withdraw(self, version_id: str) -> bool:
        api, repo = self._api, self._spec.repo
        if version_id not in self._revisions():
            return False
        refs = api.list_repo_refs(repo, repo_type="dataset")
        tags = {tag.name for tag in refs.tags}
        cut = {branch.name.removeprefix(_CUT) for branch in refs.branches if branch.name.startswith(_CUT)}
        for tag in sorted((tags | cut) - {_tag(version_id)}):
            if tag.startswith(_TAG):
                self._cut_history(tag, begun=tag in cut, tagged=tag in tags)
        for branch in (one.name for one in refs.branches if not one.name.startswith(_CUT)):
            self._forget_history(branch, version_id)
        if _tag(version_id) in tags:
            api.delete_tag(repo, tag=_tag(version_id), repo_type="dataset")  # last: it says that there is work left
        return True

    def _forget_history(self, branch: str, version_id: str) -> None:
        """Leave a branch its newest commit alone; no branch, where that has what is withdrawn."""
        api, repo, head = self._api, self._spec.repo, self._head(branch)
        self._refuse_changed(head)
        if head.version == version_id:
            api.delete_branch(repo, branch=branch, repo_type="dataset")
        else:
            api.super_squash_history(repo, branch=branch, commit_message=head.title, repo_type="dataset")

    def _cut_history(self, tag: str, *, begun: bool, tagged: bool) -> None:
        """Give a tag a commit without parents: through them what is withdrawn could still be read.

        Meanwhile a branch holds the tag's place.
        """
        api, repo = self._api, self._spec.repo
        branch = f"{_CUT}{tag}"
        if not begun:
            api.create_branch(repo, branch=branch, revision=tag, repo_type="dataset")
        api.super_squash_history(repo, branch=branch, commit_message=self._head(branch).title, repo_type="dataset")
        if tagged:
            api.delete_tag(repo, tag=tag, repo_type="dataset")
        api.create_tag(repo, tag=tag, revision=branch, repo_type="dataset")
        api.delete_branch(repo, branch=branch, repo_type="dataset")

    def _commits(self, branch: str) -> list[GitCommitInfo]:
        """Newest first."""
        return self._api.list_repo_commits(self._spec.repo, repo_type="dataset", revision=branch)

    def _tree(self, revision: str) -> Iterator[RepoFile]:
        found = self._api.list_repo_tree(self._spec.repo, repo_type="dataset", revision=revision, recursive=True)
        return (one for one in found if isinstance(one, RepoFile))

    def _patiently(self, work: Callable[[], _Result]) -> _Result:
        """Do it, again if the hub stumbles. A commit whose answer was lost is found, not made twice."""
        for attempt in range(_TRIES - 1):
            try:
                return work()
            except _ERRORS as error:
                if not _passes(error):
                    break
                self._pause(_FIRST_PAUSE * 2**attempt)
        with self._errors():
            return work()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except _ERRORS as error:
            said = str(error.__cause__ or error).strip().splitlines() or ["no answer"]
            raise StorageError(
                f"the hub refused: {said[0][:200]}",
                where=self.name,
                fix="check HF_TOKEN, HF_ENDPOINT and your rights; the version before is still the current one",
            ) from error


def _passes(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # of an upload in a thread
        return _passes(error.__cause__)
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _PASSING
    return isinstance(error, httpx2.TransportError | ConnectionError)


def _same(there: RepoFile, local: Path) -> bool:
    """Whether a file of the hub has the bytes of a local one."""
    if there.size != local.stat().st_size:
        return False
    if there.lfs is not None:
        return there.lfs.sha256 == _sha256(local)
    content = local.read_bytes()
    return there.blob_id == sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _sha256(path: Path) -> str:
    state = sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            state.update(block)
    return state.hexdigest()


def _title(dataset: str, version_id: str, cycle: str | None) -> str:
    return f"{dataset}: version {version_id}" + (f" of {cycle}" if cycle else "")


def _version_in(title: str) -> tuple[str | None, str | None, str | None]:
    """Version, cycle and dataset that a commit's title names."""
    named = _TITLE.fullmatch(title)
    return (named["version"], named["cycle"], named["dataset"]) if named else (None, None, None)


def _ours(commits: Iterable[GitCommitInfo]) -> list[GitCommitInfo]:
    """Those that brought a version."""
    return [one for one in commits if _TITLE.fullmatch(one.title)]


def _tag(version_id: str) -> str:
    return f"{_TAG}{version_id}"
