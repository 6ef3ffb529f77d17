"""Run the AWS account: ``python -m local.aws_account --port 5000``.

It keeps everything in memory and forgets it when it ends. The first line on standard output is the URL.
"""

from __future__ import annotations

import argparse

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from local.aws_account.account import Account
from local.aws_account.moto_hooks import install
from local.aws_account.routes import create_app
from local.server_process import HOST


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.aws_account", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; a free one if not given")
    account = Account()
    install(account)
    moto = DomainDispatcherApplication(create_backend_app)
    app = DispatcherMiddleware(moto, {"/_account": create_app(account)})
    # What moto's ThreadedMotoServer does, but on the main thread: with its port taken, that one would wait for ever.
    server = make_server(HOST, parser.parse_args().port, app, threaded=True, request_handler=MotoRequestHandler)
    print(f"http://{HOST}:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
