"""The certificates of an installation, verified by a real TLS handshake as Python does it."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509

from local.certificates import NODE_DN, Certificates, issue_certificates


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return issue_certificates()


def handshake(server: Certificates, client_trusts: bytes, tmp_path: Path, name: str) -> None:
    (tmp_path / "node.pem").write_bytes(server.node)
    (tmp_path / "node-key.pem").write_bytes(server.node_key)
    (tmp_path / "node-key.pem").chmod(stat.S_IRUSR)
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listening.load_cert_chain(tmp_path / "node.pem", tmp_path / "node-key.pem")
    calling = ssl.create_default_context(cadata=client_trusts.decode())
    calling.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    one, other = socket.socketpair()

    def serve() -> None:
        try:
            listening.wrap_socket(one, server_side=True).close()
        except ssl.SSLError:
            one.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with calling.wrap_socket(other, server_hostname=name):
            pass
    finally:
        other.close()
        thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_node_is_verified_by_its_own_authority_under_each_name(
    certificates: Certificates, tmp_path: Path, name: str
) -> None:
    handshake(certificates, certificates.ca, tmp_path, name)


def test_node_is_not_verified_under_another_name(certificates: Certificates, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(certificates, certificates.ca, tmp_path, "example.com")


def test_node_is_not_verified_by_another_installations_authority(certificates: Certificates, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificates, issue_certificates().ca, tmp_path, "localhost")


def test_nodes_know_each_other_by_the_name_that_is_configured(certificates: Certificates) -> None:
    assert x509.load_pem_x509_certificate(certificates.node).subject.rfc4514_string() == NODE_DN
