"""Run the model endpoints: ``python -m local.model_endpoints --port 9600 --keys-file keys.json``.

The first line on standard output is the URL, printed once connections are taken.
"""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import uvicorn

from local.minilm import minilm
from local.model_endpoints.account import Account
from local.model_endpoints.app import ClosableProtocol, create_app
from local.model_endpoints.keys import AcceptedKeys, load_keys
from local.server_process import HOST

_BACKLOG = 1_024
# As platforms' load balancers do; at uvicorn's 5 s a connection now and then closes under the cluster's next request.
_KEEP_ALIVE_S = 75
_SHUTDOWN_S = 1  # a slow call asked for by a behaviour must not hold up the server's end


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.model_endpoints", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; a free one if not given")
    parser.add_argument("--keys-file", type=Path, help="JSON file with the accepted keys, mode 0600; none if not given")
    parser.add_argument("--account-url", help="the AWS account whose keys are accepted as well; none if not given")
    arguments = parser.parse_args()
    keys = load_keys(arguments.keys_file) if arguments.keys_file else AcceptedKeys()
    keys.account = Account(arguments.account_url) if arguments.account_url else None
    app = create_app(keys)
    minilm()  # now, so that the first request is not slower than the others
    config = uvicorn.Config(
        app,
        http=ClosableProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    with socket.create_server((HOST, arguments.port), backlog=_BACKLOG) as listening:
        print(f"http://{HOST}:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
