"""Beginning and finishing a run in tests: the arguments that a host passes, each of which a test may change."""

from typing import Any

from service.auth import Caller
from service.database.gateway import Database, Row

STANDARD = {"agent_name": "digest", "agent_config": {"code": "def run(): pass"}}


async def begin(database: Database, caller: Caller, **arguments: Any) -> Any:
    standard: dict[str, Any] = {
        "p_agent_name": "digest",
        "p_input": {"n": 1},
        "p_test": False,
        "p_trigger": "http",
        "p_wall_seconds": 30.0,
        "p_max_in_flight": 8,
    }
    return await database.call(caller, "begin_run", **{**standard, **arguments})


async def finish(database: Database, caller: Caller, started: Row, **arguments: Any) -> Any:
    standard: dict[str, Any] = {
        "p_run_id": started["run_id"],
        "p_lease_id": started["lease_id"],
        "p_status": "succeeded",
        "p_input": {"n": 1},
        "p_output": {"message": "hello"},
        "p_error": None,
        "p_logs": ["one", "two"],
        "p_usage": {"wall_ms": 4.2},
        "p_signature": "k1:abc",
        "p_effects": [],
        "p_keep_days": 30,
        "p_keep_runs": 10_000,
    }
    return await database.call(caller, "finish_run", **{**standard, **arguments})
