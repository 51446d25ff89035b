"""Download of data-set files from the Hugging Face Hub into our cache.

huggingface-hub lists the repository: file names, sizes, sha256 and the commit they belong to. The bytes are streamed
here, with the standard library, because `hf_hub_download` no longer goes on where an earlier call stopped (release 2
deletes its temporary file) and does not compare the sha256. A file under download is called FILE.SHA256.part, so that
bytes of two versions cannot meet in it; only a complete, verified and synced file gets its real name.

Not covered: private and gated data sets beyond sending the user's saved token along; repositories of other kinds.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from gradus.data.places import cache_folder, hub_endpoint, hub_offline
from gradus.errors import UserError

CHUNK = 1 << 20  # bytes asked for at once
TIMEOUT = 30.0  # seconds without a byte before the connection counts as lost
ATTEMPTS = 3  # connections in a row that bring nothing before giving up
PAUSE = 1.0  # seconds between two connections
REPORT_EVERY = 10.0  # seconds between two lines of progress
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # no room on the disk, or none left for this user

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a data-set repository. `digest` is its sha256, or its git blob sha1 where it lies in git itself."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """One file to fetch: what, from which address, to which place."""

    file: HubFile
    url: str
    to: Path

    @property
    def part(self) -> Path:
        """The file that the bytes are gathered in until they are all there."""
        return self.to.with_name(f"{self.to.name}.{self.file.digest[:12]}.part")

    @property
    def have(self) -> int:
        """Bytes that are there already."""
        return self.part.stat().st_size if self.part.exists() else 0


def print_to_stderr(line: str) -> None:
    """Says a line where it does not mix with a command's output."""
    print(line, file=sys.stderr, flush=True)


def split_file_name(split: str, index: int = 0, count: int = 1) -> str:
    """The name of part `index` of `count` of a split: `test.parquet`, or `train-00000-of-00002.parquet`."""
    return f"{split}.parquet" if count == 1 else f"{split}-{index:05d}-of-{count:05d}.parquet"


def fetch(
    name: str,
    repo: str,
    splits: Sequence[str],
    folder: Path,
    *,
    endpoint: str | None = None,
    say: Say = print_to_stderr,
) -> None:
    """Downloads the Parquet files of `splits` of the Hub's data set `repo` into `folder`, named by `split_file_name`.

    Says what is fetched, from where and how big it is before the first byte. Files that are there already are kept;
    half a file of an earlier call is completed. Every file is compared with the Hub's size and sha256 before it gets
    its name.

    name:     what the user calls the data set, for the messages
    endpoint: address of the Hub, by default that of HF_ENDPOINT

    Raises `UserError` when the network is forbidden, the Hub cannot be reached or lacks a split, the disk is too small
    or becomes full, the folder cannot be written to, or the received bytes are not those that the Hub announced.
    """
    endpoint = (endpoint or hub_endpoint()).rstrip("/")
    if hub_offline():
        unreachable(name, repo, splits, "HF_HUB_OFFLINE is set, so nothing was asked for")
    try:
        with only_one(folder):
            orders = [order for order in list_orders(repo, splits, folder, endpoint) if not complete(order)]
            size = sum(order.file.size for order in orders)
            check_space(name, folder, size - sum(order.have for order in orders))
            if orders:
                files = "1 file" if len(orders) == 1 else f"{len(orders)} files"
                say(f"{name}: downloading {files}, {megabytes(size)}, from {endpoint}/datasets/{repo} to {folder}")
            for order in orders:
                download(order, say)
    except ConnectionError as error:
        unreachable(name, repo, splits, f"{endpoint} was tried: {error}")


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Makes the folder and holds its lock: two programs that want the same file must not write to one part."""
    from filelock import FileLock  # huggingface-hub and torch both need it

    lock = FileLock(folder / ".download.lock")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def unreachable(name: str, repo: str, splits: Sequence[str], reason: str) -> NoReturn:
    """The error for a data set that could not be had: what was tried and the two ways out."""
    files = ", ".join(f"{name}/{split_file_name(split)}" for split in splits)
    raise UserError(
        f"{name}: the data set is not on this machine and could not be downloaded from the Hub's '{repo}' ({reason}); "
        f"either set GRADUS_DATA to a folder that holds {files}, or load it once on a machine with network and copy "
        f"its cache folder to {cache_folder()} here"
    )


def list_orders(repo: str, splits: Sequence[str], folder: Path, endpoint: str) -> list[Order]:
    """What has to be fetched for `splits`, by the Hub's own listing. Raises `ConnectionError` where there is none."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    try:
        found = HfApi(endpoint=endpoint).dataset_info(repo, files_metadata=True, timeout=TIMEOUT)
    except (HTTPError, OSError) as error:
        raise ConnectionError(first_line(error)) from None
    except (ValueError, LookupError, TypeError):  # as when the login page of a network answers in its place
        raise ConnectionError("what answered there is not a Hub") from None
    files = [
        HubFile(path=file.rfilename, size=file.size, digest=file.lfs.sha256 if file.lfs else file.blob_id or "")
        for file in found.siblings or []
        if file.rfilename.endswith(".parquet") and file.size
    ]
    base = f"{endpoint}/datasets/{repo}/resolve/{found.sha or 'main'}"  # by commit: listing and bytes belong together
    orders = []
    for split in splits:
        shards = files_of_split(files, split, repo)
        for index, file in enumerate(shards):
            place = folder / split_file_name(split, index, len(shards))
            orders.append(Order(file=file, url=f"{base}/{urllib.parse.quote(file.path)}", to=place))
    return orders


def files_of_split(files: Sequence[HubFile], split: str, repo: str) -> list[HubFile]:
    """The Parquet files of one split, in order: `FOLDER/SPLIT-00000-of-00002.parquet`, or `SPLIT.parquet`."""
    named = re.compile(rf"(.*/)?{re.escape(split)}(-.*)?\.parquet")
    found = sorted((file for file in files if named.fullmatch(file.path)), key=lambda file: file.path)
    if not found:
        listed = ", ".join(file.path for file in files[:6]) or "no Parquet file"
        raise UserError(f"the Hub's '{repo}' has no file for the split '{split}'; it has {listed}")
    if len({os.path.dirname(file.path) for file in found}) > 1:
        listed = ", ".join(file.path for file in found[:6])
        raise UserError(f"the Hub's '{repo}' has files of the split '{split}' in several folders: {listed}")
    return found


def complete(order: Order) -> bool:
    """Whether the file is there. It got its name after its digest was checked, so its size is enough."""
    return order.to.is_file() and order.to.stat().st_size == order.file.size


def check_space(name: str, folder: Path, needed: int) -> None:
    """Raises `UserError` where the disk of `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{name}: the disk of {folder} is too full for the download: {needed:,} bytes are needed, {free:,} are "
            "free; make room there or set GRADUS_CACHE to a folder on another disk"
        )


def download(order: Order, say: Say = print_to_stderr) -> None:
    """Fetches one file, going on where an earlier call stopped, checks it and gives it its name.

    Raises `UserError` for a full disk and for wrong bytes, `ConnectionError` where `ATTEMPTS` connections in a row
    bring nothing.
    """
    if order.have:
        say(f"  {order.to.name}: going on after {megabytes(order.have)} of {megabytes(order.file.size)}")
    failures = 0
    while (before := order.have) < order.file.size:
        reason = "the connection ended early"
        try:
            stream(order, say)
        except urllib.error.HTTPError as error:
            reason = f"{order.url} answered {error.code} {error.reason}"
            error.close()
            if error.code < 500 and error.code not in (408, 429):  # asking again would not change the answer
                raise ConnectionError(reason) from None
        except (OSError, http.client.HTTPException) as error:
            reason = first_line(error)
        if order.have >= order.file.size:
            break
        failures = 0 if order.have > before else failures + 1
        if failures == ATTEMPTS:
            kept = f"{order.have:,} of {order.file.size:,} bytes of {order.file.path} are kept for the next call"
            raise ConnectionError(f"{reason}; {kept}")
        time.sleep(PAUSE)
    verify(order)
    with disk_errors(order.to.parent):
        publish(order.part, order.to)


def stream(order: Order, say: Say) -> None:
    """Appends the bytes that are missing to the part, as far as the connection holds."""
    from huggingface_hub.utils import build_hf_headers

    start = order.have
    request = urllib.request.Request(order.url, headers={"Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    for header, value in build_hf_headers(library_name="gradus").items():
        request.add_unredirected_header(header, value)  # the token is for the Hub, not for the store it points to
    with urllib.request.urlopen(request, timeout=TIMEOUT, context=trusted_certificates()) as response:
        goes_on = response.status == 206  # a server that ignores the range sends all of it, with 200
        with disk_errors(order.to.parent):
            part = open(order.part, "ab" if goes_on else "wb", buffering=0)  # noqa: SIM115 (closed just below)
        with part:
            done, told = start if goes_on else 0, time.monotonic()
            while done <= order.file.size and (chunk := response.read1(CHUNK)):
                with disk_errors(order.to.parent):
                    write_all(part, chunk)
                done += len(chunk)
                if time.monotonic() - told > REPORT_EVERY:
                    say(f"  {order.to.name}: {megabytes(done)} of {megabytes(order.file.size)}")
                    told = time.monotonic()


def write_all(file: IO[bytes], chunk: bytes) -> None:
    """Writes every byte: an unbuffered file may take fewer than it is given, as just before the disk is full."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def verify(order: Order) -> None:
    """Compares the gathered bytes with what the Hub announced. Wrong ones are removed, and `UserError` says so."""
    received = digest_of(order.part, like=order.file.digest)
    size = order.have
    if size == order.file.size and received == order.file.digest:
        return
    order.part.unlink()
    raise UserError(
        f"{order.file.path}: wrong checksum after the download: expected {order.file.digest[:12]}... "
        f"({order.file.size:,} bytes), received {received[:12]}... ({size:,} bytes) from {order.url}; "
        "the file was removed, try again"
    )


def digest_of(path: Path, like: str) -> str:
    """The sha256 of a file, or its git blob sha1 where `like` has the 40 digits of one."""
    header = f"blob {path.stat().st_size}\0".encode()  # what git hashes before the content
    digest = hashlib.sha1(header, usedforsecurity=False) if len(like) == 40 else hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def publish(part: Path, to: Path) -> None:
    """Gives a finished file its name, so that after a power cut there is either all of it or none of it."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, to)
    for outdated in to.parent.glob(f"{to.name}.*.part"):  # halves of versions that the Hub has replaced
        outdated.unlink()
    if os.name == "posix":  # the new name is on the disk only when the folder is
        descriptor = os.open(to.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns what a disk can answer into one sentence. What was written stays in the part, to go on from."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise UserError(
                f"the disk of {folder} is full; make room and call again (the download goes on where it stopped), or "
                "set GRADUS_CACHE to a folder on another disk"
            ) from None
        reason = error.strerror or str(error)
        raise UserError(f"cannot write to {folder} ({reason}); set GRADUS_CACHE to a folder that you own") from None


def trusted_certificates() -> ssl.SSLContext:
    """The machine's own certificates: through truststore, which huggingface-hub brings, as Python on macOS has none."""
    try:
        import truststore
    except ImportError:
        return ssl.create_default_context()
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its name where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def megabytes(size: int) -> str:
    """A size in bytes for people: `18.2 MB`."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size:,} bytes"
