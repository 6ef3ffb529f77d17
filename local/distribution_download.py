"""Downloads of pinned artifacts: side by side, resumed, retried, and refused if a single byte differs.

The repositories are jgo's: the one it uses by default and those under `[repositories]` in its configuration file.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import requests
from jgo.config import GlobalSettings
from jgo.maven import MavenContext

from local.errors import DownloadError

PARALLEL = 8  # most artifacts are small: their time goes into round trips
ATTEMPTS = 4
BACKOFF_S = 0.5  # doubled with each attempt
TIMEOUT_S = (10, 60)  # to connect, and between two reads
REPORT_EVERY_S = 2.0
CHUNK_BYTES = 1 << 20
MB = 1_000_000

NETWORK_FIX = (
    "check the network (HTTPS_PROXY, REQUESTS_CA_BUNDLE) or name a mirror under [repositories] in jgo's configuration "
    "file; then run it again: what has arrived is kept"
)


@dataclass(frozen=True, slots=True)
class Pinned:
    """One artifact of a layout.

    :param sha256: of the file, in hex.
    :param size: of the file, in bytes.
    :param into: folder of the layout that a jar is put in, or a zip is unpacked in.
    :param path: below a repository's address.
    """

    sha256: str
    size: int
    into: str
    path: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


def say(line: str) -> None:
    """Tell the person at the terminal, at once: a pipe would hold lines back until the end."""
    print(line, flush=True)


def repositories() -> dict[str, str]:
    """Name and address of jgo's repositories; configured ones come first, so that a mirror is asked first."""
    configured = dict(GlobalSettings.load().repositories)
    return configured | {name: url for name, url in MavenContext().remote_repos.items() if name not in configured}


def download(
    wanted: Mapping[Path, Pinned],
    *,
    title: str,
    urls: Sequence[str] | None = None,
    say: Callable[[str], None] = say,
) -> None:
    """Fetch what is not there yet; a file that is there counts only if its SHA-256 is right.

    :param wanted: where to put which artifact.
    :param title: begins each line of progress, such as ``OpenSearch 3.6.0``.
    :param urls: addresses of repositories, asked in this order; default: jgo's.
    :param say: gets a line of progress every few seconds.
    :raises DownloadError: the network failed several times, no repository has the artifact, or what came has another
        SHA-256 (it is deleted then).
    """
    fetch = _Fetch(list(repositories().values()) if urls is None else urls)
    largest_first = sorted(wanted.items(), key=lambda item: -item[1].size)
    total_mb = sum(pinned.size for pinned in wanted.values()) / MB
    with ThreadPoolExecutor(PARALLEL) as pool:
        pending: set[Future[None]] = {pool.submit(fetch, path, pinned) for path, pinned in largest_first}
        try:
            while pending:
                done, pending = wait(pending, timeout=REPORT_EVERY_S, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                arrived, received_mb = len(wanted) - len(pending), fetch.received / MB
                say(f"{title}: {arrived} of {len(wanted)} artifacts, {received_mb:.0f} of {total_mb:.0f} MB")
        finally:  # also on Ctrl-C: transfers under way would be waited for
            fetch.abandoned.set()
            pool.shutdown(cancel_futures=True)


class _TransientError(Exception):
    """Worth another attempt."""


class _AbandonedError(Exception):
    """Another transfer has failed, or the person has lost patience."""


class _Fetch:
    def __init__(self, urls: Sequence[str]) -> None:
        self.abandoned = threading.Event()
        self._urls = urls
        self._received: dict[Path, int] = {}
        self._session = requests.Session()
        self._session.headers["Accept-Encoding"] = "identity"  # sizes and ranges count the file's own bytes
        self._session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=PARALLEL))

    @property
    def received(self) -> int:
        """Bytes so far, of all artifacts."""
        return sum(list(self._received.values()))

    def __call__(self, path: Path, pinned: Pinned) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and _sha256(path) == pinned.sha256:
            self._received[path] = pinned.size
            return
        part = path.with_name(f"{path.name}.part")
        self._with_retries(part, path, pinned)
        found = _sha256(part)
        if found != pinned.sha256:
            part.unlink()
            raise DownloadError(
                f"{pinned.name} is not the file that was pinned, so it was deleted",
                evidence=f"SHA-256 {found} instead of {pinned.sha256}; {pinned.path} from {', '.join(self._urls)}",
                fix="run it again; if it stays, the repository or a proxy on the way alters files: do not use it",
            )
        part.replace(path)

    def _with_retries(self, part: Path, path: Path, pinned: Pinned) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._from_any_repository(part, path, pinned)
            except (_TransientError, requests.RequestException) as error:
                if attempt == ATTEMPTS:
                    raise DownloadError(
                        f"{pinned.name} could not be downloaded",
                        evidence=f"{ATTEMPTS} attempts, the last one: {error}",
                        fix=NETWORK_FIX,
                    ) from error
                self.abandoned.wait(BACKOFF_S * 2**attempt)
        return None

    def _from_any_repository(self, part: Path, path: Path, pinned: Pinned) -> None:
        failure: Exception | None = None
        for url in self._urls:
            try:
                if self._from_repository(url, part, path, pinned):
                    return
            except (_TransientError, requests.RequestException) as error:  # a mirror is down: the next may have it
                failure = failure or error
        if failure:
            raise failure
        raise DownloadError(
            f"no repository has {pinned.name}",
            evidence=f"404 for {pinned.path} at {', '.join(self._urls)}",
            fix=NETWORK_FIX,
        )

    def _from_repository(self, url: str, part: Path, path: Path, pinned: Pinned) -> bool:
        """Append what is missing of the file; false if this repository does not have it."""
        if self.abandoned.is_set():
            raise _AbandonedError
        have = part.stat().st_size if part.exists() else 0
        if have == pinned.size:
            return True
        headers = {"Range": f"bytes={have}-"} if 0 < have < pinned.size else {}
        with self._session.get(f"{url}/{pinned.path}", headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code == requests.codes.not_found:
                return False
            if not answer.ok:
                raise _TransientError(f"{answer.status_code} {answer.reason} from {answer.url}")
            resumed = answer.status_code == requests.codes.partial_content
            with part.open("ab" if resumed else "wb") as file:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    if self.abandoned.is_set():
                        raise _AbandonedError
                    file.write(chunk)
                    self._received[path] = file.tell()
        if part.stat().st_size < pinned.size:
            raise _TransientError(f"the connection ended after {part.stat().st_size} of {pinned.size} bytes")
        return True


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
