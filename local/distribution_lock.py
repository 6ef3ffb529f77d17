"""Which artifacts make an OpenSearch: resolved once by jgo, then pinned with SHA-256 in `distribution-<version>.lock`.

Run by whoever changes a version or the lists below, never by users::

    python -m local.distribution_lock 3.6.0

A layout needs no resolution then: two clones hold the same jars, 150 POMs are not fetched, and a jar that changed is
refused. jgo only warns of a checksum that does not match, so every artifact is compared here with the published one.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from jgo.maven import Artifact, Dependency, MavenContext

from local.distribution import MODULES, lock_path
from local.distribution_download import Pinned, repositories

# On 3.x the server loads these from lib/ although its artifact does not depend on them; log4j-core is optional there.
BESIDE_THE_SERVER = {
    "2": ("org.apache.logging.log4j:log4j-core:2.21.0",),
    "3": (
        "org.opensearch:opensearch-agent-bootstrap:{version}",
        "org.apache.logging.log4j:log4j-core:2.25.3",
        "org.bouncycastle:bc-fips:2.1.2",
        "org.bouncycastle:bcpkix-fips:2.1.10",
        "org.bouncycastle:bctls-fips:2.1.22",
        "org.bouncycastle:bcutil-fips:2.1.5",
    ),
}
PLUGINS = {
    "opensearch-job-scheduler": "opensearch-job-scheduler",
    "opensearch-ml": "opensearch-ml-plugin",
    "opensearch-knn": "opensearch-knn",
    "opensearch-neural-search": "neural-search",
    "opensearch-security": "opensearch-security",
}
# The newest Security zip in the repository is older than the server; `distribution` makes it fit.
PLUGIN_VERSIONS = {("3.6.0", "opensearch-security"): "3.4.0.0"}
BESIDE_SECURITY = {"3": ("org.apache.commons:commons-collections4:4.5.0",)}
CHECKSUMS = ("sha512", "sha256", "sha1")  # strongest first


def lock(version: str) -> list[tuple[Pinned, str]]:
    """Resolve, download and check all artifacts of one OpenSearch version.

    :param version: of the server, such as ``3.6.0``.
    :return: artifact and the algorithm of the published checksum it was compared with ("" if none is published).
    :raises SystemExit: an artifact differs from its published checksum.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), remote_repos=repositories(), timeout=60)
        wanted = dict.fromkeys((into, artifact) for into, artifact in _artifacts(context, version))
        with ThreadPoolExecutor(8) as pool:
            return sorted(
                pool.map(lambda pair: _pin(*pair), wanted), key=lambda locked: (locked[0].into, locked[0].path)
            )


def write_lock(version: str) -> Path:
    """Write the lock file of one version and return its path."""
    lines = [f"# Made by `python -m local.distribution_lock {version}`: sha256, bytes, folder, path in the repository."]
    for pinned, checked in lock(version):
        remark = "" if checked else "  # the repository publishes no checksum"
        lines.append(f"{pinned.sha256} {pinned.size} {pinned.into} {pinned.path}{remark}")
    path = lock_path(version)
    path.write_text("\n".join(lines) + "\n")
    return path


def _artifacts(context: MavenContext, version: str) -> Iterator[tuple[str, Artifact]]:
    """Folder of the layout and artifact, for all that a layout holds."""
    major = version.partition(".")[0]
    # One root at a time: resolved together, the mediation picks versions that the server was not built with.
    lib = _with_dependencies(_artifact(context, f"org.opensearch:opensearch:{version}"))
    for coordinate in (f"org.opensearch:opensearch-plugin-classloader:{version}", *BESIDE_THE_SERVER[major]):
        lib.append(_artifact(context, coordinate.format(version=version)))
    yield from (("lib", artifact) for artifact in lib)
    in_lib = {_identity(artifact) for artifact in lib}  # a jar may be on the class path once: "jar hell" otherwise
    for module in (m for m in MODULES if m.exists_in(version)):
        for artifact in _with_dependencies(_artifact(context, f"org.opensearch.plugin:{module.artifact}:{version}")):
            if _identity(artifact) not in in_lib:
                yield f"modules/{module.name}", artifact
    for plugin, artifact_id in PLUGINS.items():
        plugin_version = PLUGIN_VERSIONS.get((version, plugin), f"{version}.0")
        yield f"plugins/{plugin}", _artifact(context, f"org.opensearch.plugin:{artifact_id}:{plugin_version}", "zip")
    for coordinate in BESIDE_SECURITY.get(major, ()):
        yield "plugins/opensearch-security", _artifact(context, coordinate)


def _artifact(context: MavenContext, coordinate: str, packaging: str = "jar") -> Artifact:
    group, name, version = coordinate.split(":")
    return context.project(group, name).at_version(version).artifact(packaging=packaging)


def _with_dependencies(root: Artifact) -> list[Artifact]:
    _, nodes = root.context.resolver.get_dependency_list([Dependency(root)])
    runtime = [node.dep.artifact for node in nodes if node.dep.scope in (None, "compile", "runtime")]
    return [root, *runtime]


def _identity(artifact: Artifact) -> tuple[str, str, str]:
    return artifact.groupId, artifact.artifactId, artifact.classifier


def _pin(into: str, artifact: Artifact) -> tuple[Pinned, str]:
    content = artifact.resolve().read_bytes()
    path = f"{artifact.component.path_prefix.as_posix()}/{artifact.filename}"
    pinned = Pinned(hashlib.sha256(content).hexdigest(), len(content), into, path)
    for algorithm in CHECKSUMS:
        for url in artifact.context.remote_repos.values():
            answer = requests.get(f"{url}/{path}.{algorithm}", timeout=60)
            if answer.ok:
                if answer.text.split()[0] != hashlib.new(algorithm, content).hexdigest():
                    raise SystemExit(f"{path} differs from its published {algorithm}")
                return pinned, algorithm
    return pinned, ""


if __name__ == "__main__":
    for wanted_version in sys.argv[1:]:
        print(write_lock(wanted_version))
