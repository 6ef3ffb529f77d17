"""docker-compose.yaml without Docker: that it is valid, and that every name in it exists where it must."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from compose_spec import PyOptions
from cryptography.fernet import Fernet

from tests.support.repository import REPOSITORY

COMPOSE_FILE = REPOSITORY / "docker-compose.yaml"
ENV_EXAMPLE = REPOSITORY / ".env.example"

VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)([^}]*)\}")
ONE_SHOT = {"airflow-init", "certificates"}
# These subcommands come from providers that are in the official image and not in our requirements.
COMMANDS_OF_THE_IMAGE = {"celery", "users"}
# Executables of the official images: Debian with Airflow, PostgreSQL or Redis, and Amazon Linux with OpenSearch.
EXECUTABLES_OF_THE_IMAGES = {"airflow", "celery", "curl", "grep", "pg_isready", "redis-cli"}

OUR_OPTIONS = {"opensearch_ml": {"blueprints_folder", "targets_folder"}}  # opensearch_ml.catalog.folders

SPECIFICATION: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = SPECIFICATION["services"]
AIRFLOW_SERVICES = [name for name, one in SERVICES.items() if "AIRFLOW__CORE__EXECUTOR" in one.get("environment", {})]


def airflow_command_lines() -> list[list[str]]:
    scripts: list[str] = []
    for service in SERVICES.values():
        command = service.get("command", ())
        scripts += [f"airflow {command}"] if isinstance(command, str) else command
        scripts += service.get("healthcheck", {}).get("test", ())
    commands = [command.strip() for script in scripts for command in script.split("&&")]
    return [shlex.split(command) for command in commands if command.startswith("airflow ")]


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """.env as the command in .env.example writes it."""
    lines = ENV_EXAMPLE.read_text().splitlines()
    command = "\n".join(line.removeprefix("#") for line in lines if line.startswith("#   "))
    shutil.copy(ENV_EXAMPLE, tmp_path)
    subprocess.run(["sh", "-euc", command], cwd=tmp_path, check=True)
    return tmp_path / ".env"


@pytest.fixture
def filled(env_file: Path) -> dict[str, Any]:
    """The services with every variable filled in, as Compose would see them."""
    values = {**values_of(env_file), "OPENAI_API_KEY": "sk-from-the-platform"}
    text = VARIABLE.sub(lambda match: values[match[1]], COMPOSE_FILE.read_text()).replace("$$", "$")
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


def values_of(env_file: Path) -> dict[str, str]:
    lines = [line for line in env_file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


# The file itself


def test_the_file_follows_the_compose_specification() -> None:
    parsed = PyOptions(apply_merge=True).from_yaml(COMPOSE_FILE.read_text())
    parsed.validate()
    assert set(parsed.service_names()) == set(SERVICES)


@pytest.mark.parametrize("wrong", ["comand: x", "depends_on: {b: {condition: service_helthy}}", "ports: [abc]"])
def test_the_specification_would_notice_a_mistake(wrong: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PyOptions(apply_merge=True).from_yaml(f"services:\n  a:\n    image: a:1\n    {wrong}\n").validate()


def test_all_parts_of_a_celery_airflow_are_there() -> None:
    assert {"api-server", "scheduler", "dag-processor", "triggerer", "worker"} <= set(AIRFLOW_SERVICES)
    assert {"airflow-init", "certificates", "postgres", "redis", "opensearch"} <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_version(name: str) -> None:
    repository, _, tag = SERVICES[name]["image"].partition(":")
    assert re.match(r"\d+", tag), f"{repository} floats"


def test_the_images_are_the_versions_that_the_project_is_tested_with() -> None:
    requirements = (REPOSITORY / "requirements.txt").read_text()
    [airflow] = re.findall(r"^apache-airflow==(\S+)$", requirements, re.MULTILINE)
    for name in [*AIRFLOW_SERVICES, "certificates"]:
        assert SERVICES[name]["image"].endswith(f":{airflow}")
        assert f"FROM apache/airflow:{airflow}\n" in SERVICES[name]["build"]["dockerfile_inline"]
    assert SERVICES["opensearch"]["image"] == "opensearchproject/opensearch:3.6.0"


@pytest.mark.parametrize("name", SERVICES)
def test_every_host_path_exists(name: str) -> None:
    service = SERVICES[name]
    mounted = [volume.split(":")[0] for volume in service.get("volumes", ())]
    copied = re.findall(r"^COPY (\S+)", service.get("build", {}).get("dockerfile_inline", ""), re.MULTILINE)
    for path in [*[path for path in mounted if path.startswith(".")], *copied]:
        assert (REPOSITORY / path).exists()
    assert {path for path in mounted if not path.startswith(".")} <= set(SPECIFICATION["volumes"])


@pytest.mark.parametrize("name", AIRFLOW_SERVICES)
def test_dags_plugins_and_blueprints_are_mounted_for_reading(name: str) -> None:
    for folder in ("dags", "plugins", "include"):
        assert f"./{folder}:/opt/airflow/{folder}:ro" in SERVICES[name]["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_every_dependency_can_be_met(name: str) -> None:
    for target, wanted in SERVICES[name].get("depends_on", {}).items():
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[target]
        else:
            assert wanted["condition"] == "service_completed_successfully"
            assert target in ONE_SHOT
            assert SERVICES[target].get("restart", "no") == "no"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOT))
def test_what_keeps_running_has_a_health_check_with_a_command_that_its_image_has(name: str) -> None:
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    executables = [command[0]] if kind == "CMD" else [part.split()[0] for part in command[0].split("|")]
    assert set(executables) <= EXECUTABLES_OF_THE_IMAGES


# What Airflow is told


@pytest.fixture(scope="module")
def known_options(airflow_home: Path) -> dict[str, set[str]]:
    """Airflow's own options by section, and those of the providers that it knows without their being installed."""
    from airflow import config_templates
    from airflow.configuration import retrieve_configuration_description

    known = {section: set(one["options"]) for section, one in retrieve_configuration_description().items()}
    of_providers = configparser.RawConfigParser()
    of_providers.read(Path(config_templates.__path__[0]) / "provider_config_fallback_defaults.cfg")
    for section in of_providers.sections():
        known.setdefault(section, set()).update(of_providers[section])
    return {**known, **OUR_OPTIONS}


@pytest.mark.parametrize("name", AIRFLOW_SERVICES)
def test_every_option_exists_in_airflows_configuration(name: str, known_options: dict[str, set[str]]) -> None:
    given = [key.split("__")[1:] for key in SERVICES[name]["environment"] if key.startswith("AIRFLOW__")]
    assert given
    assert [f"{part}.{option}" for part, option in given if option.lower() not in known_options[part.lower()]] == []


@pytest.mark.parametrize("line", airflow_command_lines(), ids=" ".join)
def test_every_airflow_command_is_one_that_airflow_accepts(line: list[str], airflow_home: Path) -> None:
    from airflow.cli.cli_parser import get_parser

    if line[1] not in COMMANDS_OF_THE_IMAGE:
        get_parser().parse_args(line[1:])


def test_each_airflow_part_runs_the_command_of_its_name() -> None:
    commands = {name: SERVICES[name]["command"] for name in AIRFLOW_SERVICES if name not in ONE_SHOT}
    assert commands.pop("worker") == "celery worker"
    assert all(name == command for name, command in commands.items())


@pytest.mark.parametrize("name", AIRFLOW_SERVICES)
def test_the_connections_check_opensearchs_certificate_and_carry_the_secrets(
    filled: dict[str, Any], env_file: Path, name: str
) -> None:
    variables = filled[name]["environment"]
    opensearch = json.loads(variables["AIRFLOW_CONN_OPENSEARCH_DEFAULT"])
    assert (opensearch["conn_type"], opensearch["host"], opensearch["port"]) == ("opensearch", "opensearch", 9200)
    assert opensearch["password"] == values_of(env_file)["OPENSEARCH_INITIAL_ADMIN_PASSWORD"]
    folder, file = opensearch["extra"].pop("ca_certs").rsplit("/", 1)
    assert opensearch["extra"] == {"use_ssl": True, "verify_certs": True}
    assert f"opensearch-ca:{folder}:ro" in filled[name]["volumes"]
    assert file == "ca.pem"
    assert json.loads(variables["AIRFLOW_CONN_OPENAI_DEFAULT"])["password"] == "sk-from-the-platform"


# Secrets


def test_every_variable_is_in_the_example_and_compose_refuses_to_start_without_it() -> None:
    variables = VARIABLE.findall(COMPOSE_FILE.read_text())
    assert {name for name, _ in variables} == set(values_of(ENV_EXAMPLE))
    assert {rest for _, rest in variables} == {":?see .env.example"}


def test_the_example_holds_no_value() -> None:
    assert set(values_of(ENV_EXAMPLE).values()) == {""}


def test_no_secret_stands_in_the_file() -> None:
    unset = VARIABLE.sub("", COMPOSE_FILE.read_text())
    for service in yaml.safe_load(unset)["services"].values():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|KEY$|AUTH$", key):
                assert value in (None, ""), key
            if key.startswith("AIRFLOW_CONN_"):
                assert json.loads(value)["password"] == ""
            if "://" in str(value):
                assert not urlsplit(value).password


def test_the_documented_command_fills_in_everything_but_what_only_the_user_has(env_file: Path) -> None:
    values = values_of(env_file)
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    assert [name for name, value in values.items() if not value] == ["OPENAI_API_KEY"]
    assert len(set(values.values())) == len(values)
    Fernet(values["AIRFLOW_FERNET_KEY"])
    assert all(re.fullmatch(r"[\w=-]*", value, re.ASCII) for value in values.values())
    for kind in ("[A-Z]", "[a-z]", "[0-9]", "[^A-Za-z0-9]"):  # what OpenSearch asks of its first password
        assert re.search(kind, values["OPENSEARCH_INITIAL_ADMIN_PASSWORD"])


def test_the_addresses_of_database_and_queue_survive_their_passwords(filled: dict[str, Any], env_file: Path) -> None:
    variables, values = filled["scheduler"]["environment"], values_of(env_file)
    database = urlsplit(variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    queue = urlsplit(variables["AIRFLOW__CELERY__BROKER_URL"])
    assert (database.hostname, database.password) == ("postgres", values["POSTGRES_PASSWORD"])
    assert (queue.hostname, queue.password, queue.port) == ("redis", values["REDIS_PASSWORD"], 6379)
    assert filled["redis"]["environment"]["REDISCLI_AUTH"] == values["REDIS_PASSWORD"]


# OpenSearch's certificate


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """What the service ``certificates`` makes, made by its own script."""
    script = SERVICES["certificates"]["command"][0].replace("$$", "$").replace(" --owner 1000 --group 1000", "")
    for folder in ("tls", "ca"):
        (tmp_path / folder).mkdir()
        script = re.sub(rf"(?<= )/{folder}\b", str(tmp_path / folder), script)
    make = [*SERVICES["certificates"]["entrypoint"], script]
    subprocess.run(make, check=True, capture_output=True)
    made = {path: path.read_bytes() for path in tmp_path.rglob("*.pem")}
    subprocess.run(make, check=True, capture_output=True)
    assert made == {path: path.read_bytes() for path in tmp_path.rglob("*.pem")}, "a second start made new ones"
    return tmp_path


def test_the_certificate_is_valid_for_the_name_that_airflow_connects_to(certificates: Path) -> None:
    with tls_server(certificates / "tls") as port:
        for name in ("opensearch", "localhost"):
            assert handshake(port, name, certificates / "ca/ca.pem")
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(port, "elsewhere", certificates / "ca/ca.pem")


def test_nobody_can_sign_another_certificate_and_airflow_cannot_read_the_nodes_key(certificates: Path) -> None:
    keys = [path for path in certificates.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert keys == [certificates / "tls/node-key.pem"]
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    assert all("opensearch-tls:/" not in volume for name in AIRFLOW_SERVICES for volume in SERVICES[name]["volumes"])


def test_opensearch_uses_these_certificates_and_none_of_the_published_ones() -> None:
    given = SERVICES["opensearch"]["environment"]
    files = {key: value for key, value in given.items() if key.endswith("_filepath")}
    layers = ("http", "transport")
    kinds = {"pemcert": "tls/node.pem", "pemkey": "tls/node-key.pem", "pemtrustedcas": "tls/ca.pem"}
    assert files == {
        f"plugins.security.ssl.{layer}.{kind}_filepath": path for layer in layers for kind, path in kinds.items()
    }
    assert "opensearch-tls:/usr/share/opensearch/config/tls:ro" in SERVICES["opensearch"]["volumes"]


@contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "node.pem", folder / "node-key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):  # the listening socket is closed: the test has ended
                while True:
                    connection, _ = listening.accept()
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def handshake(port: int, name: str, ca: Path) -> str | None:
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        context.wrap_socket(raw, server_hostname=name) as secured,
    ):
        return secured.version()
