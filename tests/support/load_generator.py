"""A steady load of predicts from a process of its own, every answer of which is counted.

Run as ``python load_generator.py`` with its configuration as JSON on standard input; a line on it, or its end, stops
the load. Then every predict is written to standard output: when it was sent (seconds since the epoch), how long it took
(seconds), its HTTP status (0: no answer), and the words of a failure.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import sys
import time
from typing import Any

import aiohttp

OK = 200


async def main(wanted: dict[str, Any]) -> None:
    answers: list[tuple[float, float, int, str]] = []
    running: set[asyncio.Task[None]] = set()
    tls = ssl.create_default_context(cafile=wanted["ca"])
    login = base64.b64encode(f"{wanted['user']}:{wanted['password']}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    connector = aiohttp.TCPConnector(limit=0, ssl=tls)
    async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=aiohttp.ClientTimeout(60)) as client:

        async def predict(url: str) -> None:
            sent, clock = time.time(), time.perf_counter()
            try:
                async with client.post(url, json=wanted["body"]) as answer:
                    told, status = await answer.text(), answer.status
            except (aiohttp.ClientError, TimeoutError) as error:
                told, status = repr(error), 0
            answers.append((sent, time.perf_counter() - clock, status, "" if status == OK else told))

        stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        started, number = time.perf_counter(), 0
        print("running", flush=True)
        while not stop.done():
            task = asyncio.create_task(predict(wanted["urls"][number % len(wanted["urls"])]))
            running.add(task)
            task.add_done_callback(running.discard)
            number += 1
            # By the clock, whatever the answers take: a slow server gets no less to do.
            await asyncio.sleep(max(0.0, started + number / wanted["per_second"] - time.perf_counter()))
        await asyncio.gather(*running)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.readline())))
