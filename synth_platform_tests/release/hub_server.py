"""A small stand-in for the Hugging Face hub: the calls that publishing uses, with faults on demand."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from synth_platform_tests.serving import QuietHandler, serving

TOKEN = "hf_test"
_FILES = "/datasets/owner/name/resolve/"


@dataclass
class Commit:
    """A state of the repository."""

    oid: str
    title: str
    files: dict[str, str]
    """Path to the sha256 of its bytes."""
    parent: str | None


@dataclass
class HubState:
    """One repository, and what was asked of it."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    repo: dict[str, Any] | None = None
    uploads: int = 0
    """Bytes of large files that were sent."""
    faults: list[tuple[str, int, bool]] = field(default_factory=list)
    """Pattern of method and path, status, and whether the work is done all the same; each happens once."""
    requests: list[str] = field(default_factory=list)

    def revision(self, name: str) -> Commit:
        return self.commits[self.branches.get(name) or self.tags.get(name) or name]

    def history(self, name: str = "main") -> Iterator[Commit]:
        """The commits of a branch or tag, newest first."""
        oid: str | None = self.revision(name).oid
        while oid is not None:
            yield self.commits[oid]
            oid = self.commits[oid].parent

    def reachable(self) -> set[str]:
        """Titles of all commits that somebody can still read."""
        return {one.title for name in (*self.branches, *self.tags) for one in self.history(name)}

    def add(self, branch: str, title: str, files: dict[str, str], parent: str | None) -> Commit:
        """A new commit at the head of a branch."""
        oid = hashlib.sha1(f"{len(self.commits)} {title}".encode()).hexdigest()
        self.commits[oid] = Commit(oid, title, files, parent)
        self.branches[branch] = oid
        return self.commits[oid]

    def content(self, name: str = "main") -> dict[str, bytes]:
        return {path: self.objects[oid] for path, oid in self.revision(name).files.items()}


@contextmanager
def hub_server() -> Iterator[HubState]:
    """Run the stand-in while the block lasts."""
    state = HubState()
    with serving(_handler(state)) as address:
        state.url = f"http://{address}"
        yield state


def _handler(state: HubState) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def _serve(self) -> None:
            body = self._body()
            path = unquote(urlsplit(self.path).path)
            asked = f"{self.command} {path}"
            state.requests.append(asked)
            fault = next((one for one in state.faults if re.search(one[0], asked)), None)
            if fault is not None:
                state.faults.remove(fault)
                if fault[2]:
                    _answer(state, self.command, path, body)
                return self._reply(fault[1], {"error": "fault"})
            if "upload" not in path and self.headers.get("authorization") != f"Bearer {TOKEN}":
                refusal = {"X-Error-Message": "Invalid credentials in Authorization header"}
                return self._reply(401, {"error": "who are you"}, **refusal)
            if state.repo is None and path != "/api/repos/create":
                return self._reply(404, {"error": "no repository"}, **{"X-Error-Code": "RepoNotFound"})
            if path.startswith(_FILES):
                return self._send_file(path.removeprefix(_FILES))
            return self._reply(*_answer(state, self.command, path, body))

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding") == "chunked":
                blocks = []
                while size := int(self.rfile.readline(), 16):
                    blocks.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(blocks)
            return self.rfile.read(int(self.headers.get("content-length") or 0))

        def _send_file(self, asked: str) -> None:
            name, _, path = asked.partition("/")
            commit = state.revision(name)
            oid = commit.files[path]
            self._send(200, state.objects[oid], **{"ETag": f'"{oid}"', "X-Repo-Commit": commit.oid})

        def _reply(self, status: int, value: Any, **headers: str) -> None:
            self._send(status, json.dumps(value).encode(), **{"content-type": "application/json"}, **headers)

        def _send(self, status: int, data: bytes, **headers: str) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    return Handler


def _answer(state: HubState, method: str, path: str, body: bytes) -> tuple[int, Any]:
    if path == "/api/repos/create":
        return _create(state, json.loads(body))
    if path == "/api/validate-yaml":
        return 200, {"errors": [], "warnings": []}
    if path.startswith("/upload/"):
        return _upload(state, path.rsplit("/", 1)[1], body)
    if path.endswith("/objects/batch"):
        return 200, _batch(state, json.loads(body))
    what, _, rest = path.removeprefix("/api/datasets/owner/name").strip("/").partition("/")
    if (method, what) == ("POST", "commit"):
        return _commit(state, rest, body)
    answer = {
        ("GET", "revision"): lambda: {"id": "owner/name", "sha": state.revision(rest).oid},
        ("GET", "tree"): lambda: _tree(state, rest),
        ("GET", "commits"): lambda: [_described(one) for one in state.history(rest)],
        ("GET", "refs"): lambda: _refs(state),
        ("POST", "preupload"): lambda: _preupload(json.loads(body)),
        ("POST", "tag"): lambda: state.tags.setdefault(json.loads(body)["tag"], state.revision(rest).oid),
        ("DELETE", "tag"): lambda: state.tags.pop(rest),
        ("POST", "branch"): lambda: state.branches.setdefault(
            rest, state.revision(json.loads(body)["startingPoint"]).oid
        ),
        ("DELETE", "branch"): lambda: state.branches.pop(rest),
        ("POST", "super-squash"): lambda: _squash(state, rest, json.loads(body)["message"]),
    }.get((method, what))
    return (200, answer()) if answer else (404, {"error": f"{method} {path}"})


def _create(state: HubState, asked: dict[str, Any]) -> tuple[int, Any]:
    known = state.repo is not None
    if not known:
        state.repo = asked
        state.add("main", "initial commit", {".gitattributes": _keep(state, b"*.parquet")}, None)
    return (409 if known else 200), {"url": f"{state.url}/datasets/owner/name"}


def _keep(state: HubState, data: bytes) -> str:
    oid = hashlib.sha256(data).hexdigest()
    state.objects[oid] = data
    return oid


def _upload(state: HubState, oid: str, body: bytes) -> tuple[int, Any]:
    if _keep(state, body) != oid:
        return 400, {"error": "other bytes"}
    state.large.add(oid)
    state.uploads += len(body)
    return 200, {}


def _batch(state: HubState, asked: dict[str, Any]) -> dict[str, Any]:
    def one(item: dict[str, Any]) -> dict[str, Any]:
        action = {"upload": {"href": f"{state.url}/upload/{item['oid']}"}}
        return item if item["oid"] in state.large else {**item, "actions": action}

    return {"transfer": "basic", "objects": [one(item) for item in asked["objects"]]}


def _preupload(asked: dict[str, Any]) -> dict[str, Any]:
    def one(file: dict[str, Any]) -> dict[str, Any]:
        mode = "lfs" if file["path"].endswith(".parquet") else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}

    return {"files": [one(file) for file in asked["files"]]}


def _commit(state: HubState, branch: str, body: bytes) -> tuple[int, Any]:
    files, title = dict(state.revision(branch).files), ""
    for line in body.splitlines():
        entry = json.loads(line)
        value = entry["value"]
        if entry["key"] == "header":
            title = value["summary"]
            if value.get("parentCommit") not in (None, state.branches[branch]):
                return 412, {"error": "A commit has happened since. Please refresh and try again."}
        elif entry["key"] == "file":
            files[value["path"]] = _keep(state, base64.b64decode(value["content"]))
        elif entry["key"] == "lfsFile":
            assert value["oid"] in state.large, "a commit of a file that was never sent"
            files[value["path"]] = value["oid"]
        elif entry["key"] == "deletedFile":
            del files[value["path"]]
    oid = state.add(branch, title, files, state.branches[branch]).oid
    return 200, {"commitUrl": f"{state.url}/datasets/owner/name/commit/{oid}", "commitOid": oid}


def _tree(state: HubState, revision: str) -> list[dict[str, Any]]:
    return [_entry(state, path, oid) for path, oid in state.revision(revision).files.items()]


def _entry(state: HubState, path: str, oid: str) -> dict[str, Any]:
    data = state.objects[oid]
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry = {"type": "file", "path": path, "size": len(data), "oid": blob}
    return entry | ({"lfs": {"oid": oid, "size": len(data), "pointerSize": 134}} if oid in state.large else {})


def _described(commit: Commit) -> dict[str, Any]:
    date = "2026-01-01T00:00:00.000Z"
    return {"id": commit.oid, "title": commit.title, "message": "", "date": date, "authors": []}


def _refs(state: HubState) -> dict[str, Any]:
    tags = [{"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid} for name, oid in state.tags.items()]
    heads = [{"name": one, "ref": f"refs/heads/{one}", "targetCommit": oid} for one, oid in state.branches.items()]
    return {"branches": heads, "converts": [], "tags": tags}


def _squash(state: HubState, branch: str, title: str) -> None:
    state.add(branch, title, dict(state.revision(branch).files), None)
