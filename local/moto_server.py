"""moto as a server: IAM, STS, Secrets Manager and the other AWS services that the demo and the tests need.

Run by hand: ``python -m local.moto_server --port 5000``. It keeps everything in memory and forgets it when it ends.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from local.server_process import HOST, ServerProcess, start_server


@dataclass(frozen=True)
class MotoServer(ServerProcess):
    """The running server: give ``url`` to boto3 as ``endpoint_url``."""


def start_moto_server(*, port: int = 0, log_file: Path | None = None) -> MotoServer:
    """Start moto on 127.0.0.1; use it in a ``with`` statement, or call ``stop()``.

    :param port: TCP port; a free one if 0.
    :param log_file: where its log of requests goes; a temporary file if not given.
    :raises ServerStartError: it did not come up.
    """
    return start_server(
        MotoServer, "local.moto_server", ["--port", str(port)], ready_path="/moto-api/data.json", log_file=log_file
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.moto_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; a free one if not given")
    # What moto's ThreadedMotoServer does, but on the main thread: with its port taken, that one would wait for ever.
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server(HOST, parser.parse_args().port, app, threaded=True, request_handler=MotoRequestHandler)
    print(f"http://{HOST}:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
