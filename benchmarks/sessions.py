"""Runs by llm-sandbox, in the environment and the process of its own that `benchmarks/rivals.py` makes for it.

Stands alone. The first line it reads says the image, the program, its output, and how many at once; every further one
asks for a run, {"id": ..., "pooled": true | false}, and is answered with {"id": ...} when that is over.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import docker
from llm_sandbox import SandboxSession  # type: ignore[import-not-found]
from llm_sandbox.pool import PoolConfig, create_pool_manager  # type: ignore[import-not-found]


def main() -> None:
    told = json.loads(sys.stdin.readline())
    size = told["at_once"]
    options = {
        "client": docker.from_env(max_pool_size=2 * size),
        "image": told["image"],
        "lang": "python",
        "keep_template": True,
        "skip_environment_setup": True,  # a venv, which is in the image, and a newer pip
        # Without this signal the end of each session takes ten seconds more: its first process ignores the usual one.
        "runtime_configs": {"network_mode": "none", "stop_signal": "SIGKILL"},
    }
    pool = create_pool_manager(config=PoolConfig(min_pool_size=size, max_pool_size=size), **options)
    saying = Lock()

    def run(asked: dict[str, Any]) -> None:
        answer = {"id": asked["id"]}
        try:
            with SandboxSession(pool=pool) if asked["pooled"] else SandboxSession(**options) as session:
                found = session.run(told["program"])
            if found.stdout.strip() != told["output"]:
                answer["failed"] = repr(found)
        except Exception as error:
            answer["failed"] = repr(error)
        with saying:
            print(json.dumps(answer), flush=True)

    with ThreadPoolExecutor(size) as threads:
        for line in sys.stdin:
            threads.submit(run, json.loads(line))
    pool.close()


if __name__ == "__main__":
    main()
