from __future__ import annotations

import json
import socket
import subprocess
import sys

import boto3
import pytest

from local.moto_server import MotoServer, start_moto_server
from local.server_process import ServerProcess, ServerStartError

TRUST_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "opensearchservice.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@pytest.fixture(scope="module")
def moto():
    with start_moto_server() as server:
        yield server


def client(moto: MotoServer, service: str):
    return boto3.client(
        service, endpoint_url=moto.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )


def test_a_role_made_through_boto3_is_there_for_another_client(moto):
    client(moto, "iam").create_role(RoleName="connector", AssumeRolePolicyDocument=json.dumps(TRUST_POLICY))
    role = client(moto, "iam").get_role(RoleName="connector")["Role"]
    assert role["AssumeRolePolicyDocument"] == TRUST_POLICY


def test_a_secret_made_through_boto3_can_be_read_back(moto):
    client(moto, "secretsmanager").create_secret(Name="openai", SecretString="key-1")
    assert client(moto, "secretsmanager").get_secret_value(SecretId="openai")["SecretString"] == "key-1"


def test_a_stopped_server_is_gone_and_stopping_again_does_nothing():
    server = start_moto_server()
    assert server.process() is not None
    server.stop()
    assert server.process() is None
    server.stop()


def test_a_server_is_stopped_by_another_process_from_its_plain_values():
    with start_moto_server() as server:
        values = (server.url, server.pid, server.created_s)
        stop = f"from local.server_process import ServerProcess; ServerProcess{values}.stop()"
        subprocess.run([sys.executable, "-c", stop], check=True)
        assert server.process() is None


def test_a_pid_that_belongs_to_another_process_by_now_is_left_alone():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        ServerProcess("http://127.0.0.1:1", bystander.pid, created_s=1.0).stop()
        assert bystander.poll() is None
        bystander.communicate()


def test_a_taken_port_is_an_error_that_shows_the_servers_own_words():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerStartError, match="in use"):
        start_moto_server(port=taken.getsockname()[1])
