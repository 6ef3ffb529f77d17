"""Downloads of pinned artifacts, from a repository on loopback that misbehaves on demand."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.distribution_download import Pinned, download, repositories
from local.errors import DownloadError
from tests.support.artifact_repository import ArtifactRepository

PATH = "org/example/some/1/some-1.jar"
CONTENT = bytes(range(256)) * 100
PINNED = Pinned(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "lib", PATH)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.distribution_download.BACKOFF_S", 0.001)


@pytest.fixture
def repository() -> Iterator[ArtifactRepository]:
    with ArtifactRepository({PATH: CONTENT}) as server:
        yield server


@pytest.fixture
def unreachable() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def fetch(target: Path, *urls: str) -> list[str]:
    said: list[str] = []
    download({target: PINNED}, title="OpenSearch 3.6.0", urls=urls, say=said.append)
    return said


def test_progress_counts_artifacts_and_megabytes(repository: ArtifactRepository, tmp_path: Path) -> None:
    assert fetch(tmp_path / "lib/some.jar", repository.url)[-1] == "OpenSearch 3.6.0: 1 of 1 artifacts, 0 of 0 MB"
    assert (tmp_path / "lib/some.jar").read_bytes() == CONTENT


def test_what_is_there_and_right_is_not_asked_for(repository: ArtifactRepository, tmp_path: Path) -> None:
    (tmp_path / "some.jar").write_bytes(CONTENT)
    fetch(tmp_path / "some.jar", repository.url)
    assert repository.requests == []


def test_what_is_there_and_wrong_is_replaced(repository: ArtifactRepository, tmp_path: Path) -> None:
    (tmp_path / "some.jar").write_bytes(CONTENT[:-1])  # as left by a tool that was killed
    fetch(tmp_path / "some.jar", repository.url)
    assert (tmp_path / "some.jar").read_bytes() == CONTENT


@pytest.mark.parametrize("altered", [CONTENT[:-1] + b"!", CONTENT + b"!"], ids=["another byte", "a byte more"])
def test_an_altered_artifact_is_refused_and_deleted(
    repository: ArtifactRepository, tmp_path: Path, altered: bytes
) -> None:
    repository.files[PATH] = altered
    with pytest.raises(DownloadError, match="not the file that was pinned") as caught:
        fetch(tmp_path / "some.jar", repository.url)
    assert PINNED.sha256 in caught.value.evidence
    assert "do not use it" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failures", [[503, 429], ["cut", 500]])
def test_failures_that_pass_are_retried(
    repository: ArtifactRepository, tmp_path: Path, failures: list[int | str]
) -> None:
    repository.failures[PATH] = failures
    fetch(tmp_path / "some.jar", repository.url)
    assert (tmp_path / "some.jar").read_bytes() == CONTENT


def test_a_cut_download_goes_on_where_it_ended(
    repository: ArtifactRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.distribution_download.CHUNK_BYTES", 128)
    repository.failures[PATH] = ["cut"]
    fetch(tmp_path / "some.jar", repository.url)
    assert repository.ranges == [None, f"bytes={len(CONTENT) // 2}-"]
    assert (tmp_path / "some.jar").read_bytes() == CONTENT


def test_failures_that_last_are_told_with_what_to_check(repository: ArtifactRepository, tmp_path: Path) -> None:
    repository.failures[PATH] = [503] * 10
    with pytest.raises(DownloadError, match=r"some-1\.jar could not be downloaded") as caught:
        fetch(tmp_path / "some.jar", repository.url)
    assert "4 attempts, the last one: 503" in caught.value.evidence
    assert "HTTPS_PROXY" in caught.value.fix
    assert len(repository.requests) == 4


def test_no_network_is_told_with_what_to_check(unreachable: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="could not be downloaded") as caught:
        fetch(tmp_path / "some.jar", unreachable)
    assert "HTTPS_PROXY" in caught.value.fix


def test_the_next_repository_is_asked_if_one_is_down_or_lacks_it(
    repository: ArtifactRepository, unreachable: str, tmp_path: Path
) -> None:
    with ArtifactRepository({}) as without:
        fetch(tmp_path / "some.jar", unreachable, without.url, repository.url)
    assert (tmp_path / "some.jar").read_bytes() == CONTENT


def test_what_no_repository_has_is_not_asked_for_again(tmp_path: Path) -> None:
    with ArtifactRepository({}) as without, pytest.raises(DownloadError, match=r"no repository has some-1\.jar"):
        fetch(tmp_path / "some.jar", without.url)
    assert len(without.requests) == 1


def test_one_failure_ends_the_other_transfers(repository: ArtifactRepository, tmp_path: Path) -> None:
    others = {f"org/example/other/{n}/other-{n}.jar": b"x" for n in range(50)}
    repository.files = {PATH: bytes(len(CONTENT)), **others}
    repository.delay_s = 0.02
    wanted = {tmp_path / "some.jar": PINNED}
    for path in others:
        wanted[tmp_path / path] = Pinned(hashlib.sha256(b"x").hexdigest(), 1, "lib", path)
    with pytest.raises(DownloadError, match="not the file that was pinned"):
        download(wanted, title="OpenSearch", urls=[repository.url], say=lambda line: None)
    assert len(repository.requests) < len(wanted)


def test_a_mirror_in_jgos_configuration_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = tmp_path / "jgo.conf"
    configuration.write_text("[repositories]\nours = https://mirror.example/maven\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
    assert next(iter(repositories().items())) == ("ours", "https://mirror.example/maven")
    assert len(repositories()) == 2
