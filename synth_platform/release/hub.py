"""A dataset repository on the Hugging Face hub as a destination: a commit and a tag per version; `main` is the pointer.

The hub keeps every file once by its digest, so what an earlier version had is not sent again, and a commit either
holds all of its files or does not exist.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha1, sha256
from pathlib import Path
from typing import TypeVar

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import disable_progress_bars

from synth_platform.errors import StorageError
from synth_platform.release.config import HubDestination
from synth_platform.release.destinations import Sent
from synth_platform.snapshots import Snapshot

_TRIES = 4
_FIRST_PAUSE = 1.0
_BRANCH = "main"
_TITLE = "Version "
_TAG = "v-"
_CUT = "cut-"
_BLOCK_BYTES = 1 << 20
_OWN_FILES = frozenset({".gitattributes"})
"""Files that the hub itself puts into a repository."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})

_ERRORS = (httpx2.TransportError, HfHubHTTPError, ConnectionError, RuntimeError)
"""What the client raises: of requests, of the hub's answers, of its faster transfer, and of uploads in threads."""

_Result = TypeVar("_Result")


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

    def publish(self, version: Snapshot) -> Sent:
        files = {entry.path: local for entry, local in version.local_files()}
        size = sum(local.stat().st_size for local in files.values())
        sent = self._patiently(lambda: self._commit(version.manifest.snapshot_id, files))
        return Sent(len(files), size, sent)

    def current(self) -> str | None:
        commits = self._patiently(lambda: self._api.list_repo_commits(self._spec.repo, repo_type="dataset"))
        title = commits[0].title if commits else ""
        return title.removeprefix(_TITLE) if title.startswith(_TITLE) else None

    def withdraw(self, version_id: str) -> bool:
        """Remove a version's tag, and what only earlier commits of the branch hold."""
        if self.current() == version_id:
            raise StorageError(f"{version_id} is the current version", where=self.name, fix="publish another one first")
        return self._patiently(lambda: self._withdraw(version_id))

    def _commit(self, version_id: str, files: dict[str, Path]) -> int:
        """Make the files the branch's, all at once; bytes that were not there before."""
        api, repo = self._api, self._spec.repo
        api.create_repo(repo, repo_type="dataset", private=self._spec.private, exist_ok=True)
        head = api.repo_info(repo, repo_type="dataset", revision=_BRANCH).sha
        before = {one.path: one for one in self._tree(_BRANCH)}
        adds = [CommitOperationAdd(path, local) for path, local in files.items()]
        stale = [CommitOperationDelete(path) for path in before if path not in files and path not in _OWN_FILES]
        changed = [path for path, local in files.items() if path not in before or not _same(before[path], local)]
        if changed or stale:
            commit = api.create_commit(
                repo, [*adds, *stale], commit_message=f"{_TITLE}{version_id}", repo_type="dataset", parent_commit=head
            )
            head = commit.oid
        self._check(head or _BRANCH, files)
        api.create_tag(repo, tag=_tag(version_id), revision=head, repo_type="dataset", exist_ok=True)
        return sum(files[path].stat().st_size for path in changed)

    def _check(self, revision: str, files: dict[str, Path]) -> None:
        there = {one.path: one for one in self._tree(revision)}
        for path, local in files.items():
            if path not in there or not _same(there[path], local):
                raise StorageError(f"{path} is not what was sent", where=self.name, fix="publish it again")

    def _withdraw(self, version_id: str) -> bool:
        api, repo = self._api, self._spec.repo
        refs = api.list_repo_refs(repo, repo_type="dataset")
        tags = {tag.name for tag in refs.tags}
        if _tag(version_id) not in tags:
            return False
        cut = {branch.name.removeprefix(_CUT) for branch in refs.branches if branch.name.startswith(_CUT)}
        for tag in sorted((tags | cut) - {_tag(version_id)}):
            if tag.startswith(_TAG):
                self._cut_history(tag, begun=tag in cut, tagged=tag in tags)
        title = api.list_repo_commits(repo, repo_type="dataset")[0].title
        api.super_squash_history(repo, branch=_BRANCH, commit_message=title, repo_type="dataset")
        api.delete_tag(repo, tag=_tag(version_id), repo_type="dataset")  # last: it says that there is work left
        return True

    def _cut_history(self, tag: str, *, begun: bool, tagged: bool) -> None:
        """Give a tag a commit without parents: through them what is withdrawn could still be read.

        Meanwhile a branch holds the tag's place.
        """
        api, repo = self._api, self._spec.repo
        branch, title = f"{_CUT}{tag}", f"{_TITLE}{tag.removeprefix(_TAG)}"
        if not begun:
            api.create_branch(repo, branch=branch, revision=tag, repo_type="dataset")
        api.super_squash_history(repo, branch=branch, commit_message=title, repo_type="dataset")
        if tagged:
            api.delete_tag(repo, tag=tag, repo_type="dataset")
        api.create_tag(repo, tag=tag, revision=branch, repo_type="dataset")
        api.delete_branch(repo, branch=branch, repo_type="dataset")

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


def _tag(version_id: str) -> str:
    return f"{_TAG}{version_id}"
