"""The public listener keeps to `spec/openapi.yaml`, whatever is sent to it.

Requests are generated from the description, good and bad, with a fixed seed; the answers must
be those that it describes, problems must be problem documents, and nothing may be a server error.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from exclave.engine.memory import MemoryEngine
from tests.support.serving import serving
from tests.support.vault_world import new_world

SPEC = Path(__file__).resolve().parents[2] / "spec" / "openapi.yaml"
PUBLIC = schemathesis.openapi.from_path(SPEC).include(tag="public")
WORLD = new_world()


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A vault on a loop in a thread, since the generated requests block."""
    ready: list[str] = []
    started, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(WORLD, MemoryEngine()) as served:
            ready.append(f"https://{served.server.public}")
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(20)
    yield ready[0]
    ended.set()
    thread.join(20)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Keeps its connections: each new one would read all authorities that the system trusts."""
    with requests.Session() as opened:
        yield opened


def test_the_description_has_every_public_path() -> None:
    assert len(list(PUBLIC.get_all_operations())) == 11


@PUBLIC.parametrize()
@seed(1)
@settings(
    max_examples=8,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_those_that_are_described(
    case: schemathesis.Case, base_url: str, session: requests.Session
) -> None:
    if "mission" in case.path_parameters:
        case.path_parameters["mission"] = WORLD.mission.hex()
    # The identity is pinned by vaults' clients; here only the answers matter.
    response = case.call(base_url=base_url, session=session, verify=False)
    case.validate_response(
        response,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )
