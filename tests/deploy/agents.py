"""An agent that counts, defined and run over HTTP: what any host must be able to do."""

import httpx

from service.local import DEMO_USER_ID

COUNTER = "def run(name: str, services=None):\n    return services.kv.increment(name)\n"


def define(http: httpx.Client) -> None:
    answer = http.post("/agents", json={"agent_name": "counter", "agent_config": COUNTER})
    assert answer.status_code == 201, answer.text


def count(http: httpx.Client) -> int:
    """Run it once."""
    answer = http.get(f"/agents/{DEMO_USER_ID}/counter", params={"name": "Ada"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "succeeded", answer.text
    return int(answer.json()["output"])
