"""Downloads from a small server on this machine that speaks the Hub's protocol: no other network is used."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image as PillowImage

from gradus.data import catalogue, hub
from gradus.errors import UserError

REPO = "ylecun/mnist"
COMMIT = "77f3279092a1c1579b2250db8eafed0ad422088c"


def parquet_bytes(rows: int, image: str = "image", label: str = "label") -> bytes:
    """A Parquet file of small random pictures with their labels 0, 1, 2, ..."""
    random = np.random.default_rng(rows)
    pictures = []
    for index in range(rows):
        buffer = io.BytesIO()
        PillowImage.fromarray(random.integers(0, 256, (28, 28), dtype=np.uint8)).save(buffer, "PNG")
        pictures.append({"bytes": buffer.getvalue(), "path": f"{index}.png"})
    file = io.BytesIO()
    parquet.write_table(arrow.table({image: pictures, label: [index % 10 for index in range(rows)]}), file)
    return file.getvalue()


@dataclass
class FakeHub:
    """What the server holds and how it misbehaves, and the requests it got: (method, path, range, authorization)."""

    files: dict[str, bytes]
    wrong: dict[str, bytes] = field(default_factory=dict)  # sent in place of the announced bytes
    cut_after: int | None = None  # bytes of a file that are sent before the connection is cut, once
    down: bool = False  # files are answered by 503
    down_after_cut: bool = False
    ignores_ranges: bool = False
    page: bytes | None = None  # answers every request, as the login page of a network does
    requests: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    endpoint: str = ""

    def listing(self) -> bytes:
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": "0" * 40,
                "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130},
            }
            for name, content in self.files.items()
        ]
        return json.dumps({"id": REPO, "sha": COMMIT, "siblings": siblings}).encode()

    def ranges(self) -> list[str | None]:
        """The Range header of each request for the bytes of a file."""
        return [span for method, path, span, _ in self.requests if method == "GET" and path.startswith("/store/")]


def handler_of(fake: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            span, token = self.headers.get("Range"), self.headers.get("Authorization")
            fake.requests.append((self.command, self.path, span, token))
            resolve, store = f"/datasets/{REPO}/resolve/{COMMIT}/", "/store/"
            if fake.page is not None:
                self.answer(200, fake.page, Content_Type="text/html")
            elif self.path.split("?")[0] == f"/api/datasets/{REPO}":
                self.answer(200, fake.listing(), Content_Type="application/json")
            elif self.path.startswith(resolve):  # the Hub points to another host for the bytes
                name = self.path.removeprefix(resolve)
                digest = hashlib.sha256(fake.files[name]).hexdigest()
                size = str(len(fake.files[name]))
                head = {"X_Linked_Etag": f'"{digest}"', "X_Linked_Size": size, "X_Repo_Commit": COMMIT}
                self.answer(302, Location=f"{fake.endpoint}{store}{name}", **head)
            elif self.path.startswith(store):
                self.send_file(self.path.removeprefix(store), span)
            else:
                self.answer(404, X_Error_Code="RepoNotFound")

        def send_file(self, name: str, span: str | None) -> None:
            if fake.down:
                return self.answer(503)
            content = fake.wrong.get(name, fake.files[name])
            start = 0
            if span and not fake.ignores_ranges:
                start = int(re.fullmatch(r"bytes=(\d+)-", span).group(1))  # type: ignore[union-attr]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            end = len(content)
            if fake.cut_after is not None:
                end, fake.cut_after, fake.down = fake.cut_after, None, fake.down_after_cut
            self.wfile.write(content[start:end])

    return Handler


@pytest.fixture
def fake(monkeypatch):
    for name in ("GRADUS_DATA", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # huggingface-hub would ask huggingface.co which agents there are, and send the developer's own token
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(hub, "PAUSE", 0.0)
    train, test = "mnist/train-00000-of-00001.parquet", "mnist/test-00000-of-00001.parquet"
    fake = FakeHub(files={train: parquet_bytes(60), test: parquet_bytes(20), "README.md": b"# MNIST"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(fake))
    server.daemon_threads = False  # so that server_close waits for them
    fake.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(fake: FakeHub, folder: Path, splits=("test",)) -> list[str]:
    """Fetches into `folder` and returns what was said."""
    said: list[str] = []
    hub.fetch("mnist", REPO, splits, folder, endpoint=fake.endpoint, say=said.append)
    return said


def content_of(fake: FakeHub, split: str = "test") -> bytes:
    return fake.files[f"mnist/{split}-00000-of-00001.parquet"]


def part_of(fake: FakeHub, folder: Path) -> Path:
    return folder / f"test.parquet.{hashlib.sha256(content_of(fake)).hexdigest()[:12]}.part"


def visible(folder: Path) -> list[str]:
    """The files of a folder that a reader could take for data."""
    return sorted(path.name for path in folder.glob("*.parquet"))


def test_download_says_what_from_where_and_how_big(fake, tmp_path):
    said = fetch(fake, tmp_path / "mnist", ("train", "test"))
    size = len(content_of(fake, "train")) + len(content_of(fake))
    assert len(said) == 1
    for part in ("mnist", "2 files", hub.megabytes(size), fake.endpoint, REPO, str(tmp_path / "mnist")):
        assert part in said[0]
    assert visible(tmp_path / "mnist") == ["test.parquet", "train.parquet"]
    assert (tmp_path / "mnist/train.parquet").read_bytes() == content_of(fake, "train")
    assert not list((tmp_path / "mnist").glob("*.part"))


def test_what_is_there_is_not_fetched_again(fake, tmp_path):
    fetch(fake, tmp_path)
    fake.requests.clear()
    assert fetch(fake, tmp_path) == []
    assert fake.ranges() == []


def test_several_files_of_one_split_are_named_by_their_order(fake, tmp_path):
    fake.files = {f"data/train-0000{index}-of-00002.parquet": parquet_bytes(10 + index) for index in range(2)}
    fetch(fake, tmp_path, ("train",))
    assert visible(tmp_path) == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert (tmp_path / "train-00001-of-00002.parquet").read_bytes() == fake.files["data/train-00001-of-00002.parquet"]


def test_a_cut_is_resumed_in_the_same_call(fake, tmp_path):
    half = len(content_of(fake)) // 2
    fake.cut_after = half
    fetch(fake, tmp_path)
    assert fake.ranges() == [None, f"bytes={half}-"]
    assert (tmp_path / "test.parquet").read_bytes() == content_of(fake)


def test_a_second_call_goes_on_where_the_first_was_cut(fake, tmp_path):
    half = len(content_of(fake)) // 2
    fake.cut_after, fake.down_after_cut = half, True
    with pytest.raises(UserError, match=rf"503.*{half:,} of {len(content_of(fake)):,} bytes.*GRADUS_DATA"):
        fetch(fake, tmp_path)
    assert visible(tmp_path) == []
    assert part_of(fake, tmp_path).stat().st_size == half
    fake.down = False
    fake.requests.clear()
    said = fetch(fake, tmp_path)
    assert any("going on after" in line for line in said)
    assert fake.ranges() == [f"bytes={half}-"]
    assert (tmp_path / "test.parquet").read_bytes() == content_of(fake)


def test_a_server_without_ranges_sends_all_of_it_again(fake, tmp_path):
    fake.cut_after, fake.ignores_ranges = 1000, True
    fetch(fake, tmp_path)
    assert (tmp_path / "test.parquet").read_bytes() == content_of(fake)


def test_half_a_file_of_another_version_is_not_continued(fake, tmp_path):
    outdated = tmp_path / "test.parquet.0123456789ab.part"
    outdated.write_bytes(b"of last year")
    fetch(fake, tmp_path)
    assert fake.ranges() == [None]
    assert (tmp_path / "test.parquet").read_bytes() == content_of(fake)
    assert not outdated.exists()


@pytest.mark.parametrize("change", ["content", "longer"])
def test_wrong_checksum(fake, tmp_path, change):
    right = content_of(fake)
    wrong = right[:-1] + b"?" if change == "content" else right + b"more"
    fake.wrong["mnist/test-00000-of-00001.parquet"] = wrong
    with pytest.raises(UserError) as caught:
        fetch(fake, tmp_path)
    for digest in (hashlib.sha256(right).hexdigest(), hashlib.sha256(wrong).hexdigest()):
        assert digest[:12] in str(caught.value)
    assert "removed" in str(caught.value)
    assert visible(tmp_path) == [] and not list(tmp_path.glob("*.part"))
    fake.wrong.clear()
    fetch(fake, tmp_path)
    assert (tmp_path / "test.parquet").read_bytes() == right


def test_files_kept_in_git_itself_are_checked_by_their_blob_name(tmp_path):
    (tmp_path / "hello").write_bytes(b"hello\n")
    name = "ce013625030ba8dba906f756967f9e9ca394464a"  # printf 'hello\n' | git hash-object --stdin
    assert hub.digest_of(tmp_path / "hello", like=name) == name


def test_a_disk_that_is_too_full_is_told_before_the_first_byte(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1234))
    with pytest.raises(UserError, match=rf"{len(content_of(fake)):,} bytes are needed, 1,234 are free"):
        fetch(fake, tmp_path)
    assert fake.ranges() == [] and visible(tmp_path) == []


def test_a_disk_that_becomes_full_keeps_the_part_for_the_next_call(fake, tmp_path, monkeypatch):
    def write_some(file, chunk):
        file.write(chunk[:500])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(hub, "write_all", write_some)
        with pytest.raises(UserError, match="is full; make room") as caught:
            fetch(fake, tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    assert visible(tmp_path) == [] and part_of(fake, tmp_path).stat().st_size == 500
    fetch(fake, tmp_path)
    assert fake.ranges() == [None, "bytes=500-"]
    assert (tmp_path / "test.parquet").read_bytes() == content_of(fake)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_that_is_really_full(fake, tmp_path):
    part_of(fake, tmp_path).symlink_to("/dev/full")
    with pytest.raises(UserError, match="is full; make room"):
        fetch(fake, tmp_path)
    assert visible(tmp_path) == []


def test_a_file_where_the_folder_should_be(fake, tmp_path):
    (tmp_path / "mnist").write_text("not a folder")
    with pytest.raises(UserError, match=r"cannot write to .*GRADUS_CACHE"):
        fetch(fake, tmp_path / "mnist")


def test_offline_mode_asks_nobody(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError) as caught:
        fetch(fake, tmp_path)
    for part in ("mnist", REPO, "HF_HUB_OFFLINE", "GRADUS_DATA", "mnist/test.parquet", "machine with network"):
        assert part in str(caught.value)
    assert fake.requests == []


def test_an_endpoint_that_nobody_listens_at(fake, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError) as caught:
        hub.fetch("mnist", REPO, ("test",), tmp_path, endpoint=endpoint)
    for part in ("mnist", REPO, endpoint, "GRADUS_DATA"):
        assert part in str(caught.value)


def test_a_login_page_in_place_of_the_hub(fake, tmp_path):
    fake.page = b"<html>Please log in</html>"
    with pytest.raises(UserError, match="what answered there is not a Hub"):
        fetch(fake, tmp_path)


def test_a_repository_that_does_not_exist(fake, tmp_path):
    with pytest.raises(UserError, match=r"nobody/nothing.*404"):
        hub.fetch("nothing", "nobody/nothing", ("train",), tmp_path, endpoint=fake.endpoint)


def test_a_split_that_the_repository_lacks(fake, tmp_path):
    with pytest.raises(UserError, match=r"no file for the split 'validation'; it has mnist/train-00000"):
        fetch(fake, tmp_path, ("validation",))


def test_files_of_one_split_in_two_folders_are_not_guessed_at(fake, tmp_path):
    fake.files["other/test-00000-of-00001.parquet"] = b"x"
    with pytest.raises(UserError, match="several folders"):
        fetch(fake, tmp_path)


def test_a_mistyped_endpoint(monkeypatch, tmp_path):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "hf-mirror.com")
    with pytest.raises(UserError, match="HF_ENDPOINT: expected an address"):
        hub.fetch("mnist", REPO, ("test",), tmp_path)


def test_the_token_goes_to_the_hub_and_not_to_its_store(fake, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    fetch(fake, tmp_path)
    sent = {path.split("/")[1]: token for _, path, _, token in fake.requests}
    assert sent == {"api": "Bearer hf_made_up", "datasets": "Bearer hf_made_up", "store": None}


def test_two_at_once_download_once(fake, tmp_path):
    threads = [threading.Thread(target=fetch, args=(fake, tmp_path)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fake.ranges() == [None]
    assert (tmp_path / "test.parquet").read_bytes() == content_of(fake)


def test_the_catalogue_downloads_what_is_nowhere_here(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", fake.endpoint + "/")
    said: list[str] = []
    data = catalogue.load("mnist", say=said.append)
    assert len(said) == 1
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 60, "test": 20}
    assert list(data["test"]["label"].values[:3]) == [0, 1, 2]
    assert data["test"]["image"][0].shape == (28, 28, 1)
    assert "train: 60 rows here, 60,000 in the published data" in data.notes
    fake.requests.clear()
    catalogue.load("mnist", say=said.append)
    assert fake.requests == [] and len(said) == 1
