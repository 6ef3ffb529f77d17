"""Run the domain gateway: ``python -m local.domain_gateway --help``.

The first line on standard output is the URL, printed once connections are taken.
"""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import uvicorn

from local.domain_gateway.account import DomainAccount
from local.domain_gateway.cluster import Cluster
from local.domain_gateway.domain import Domain
from local.domain_gateway.gateway import Gateway, create_app
from local.server_process import HOST

_BACKLOG = 1_024
_SHUTDOWN_S = 1
_KEEP_ALIVE_S = 60  # longer than the pauses of a run, so that its connection is not made anew each time


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.domain_gateway", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; a free one if not given")
    parser.add_argument("--domain-arn", type=Domain.parse, required=True, help="the domain that this stands for")
    parser.add_argument("--cluster-url", required=True, help="the real OpenSearch, with proxy authentication on")
    parser.add_argument("--ca", type=Path, required=True, help="certificate that the cluster's own is verified with")
    parser.add_argument("--certificate", type=Path, required=True, help="certificate to show, in PEM")
    parser.add_argument("--key", type=Path, required=True, help="its private key")
    parser.add_argument("--account-url", required=True, help="the AWS account's stand-in")
    arguments = parser.parse_args()
    cluster = Cluster(arguments.cluster_url, arguments.ca)
    app = create_app(Gateway(arguments.domain_arn, cluster, DomainAccount(arguments.account_url)))
    config = uvicorn.Config(
        app,
        http="httptools",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ssl_certfile=arguments.certificate,
        ssl_keyfile=arguments.key,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    with socket.create_server((HOST, arguments.port), backlog=_BACKLOG) as listening:
        print(f"https://{HOST}:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
