"""Many databases, several provisioners, commands twice and out of order: generations only ever rise (invariant I2)."""

import asyncio
import random
from collections import defaultdict

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.provisioner.conftest import OPTIONS, Provisioner, eventually
from tests.unit.provisioner.commands import apply_command

from postern_common.contracts.identifiers import new_id
from postern_common.kube.paths import CLUSTERS
from postern_common.testing.kube import FakeKube
from postern_provisioner.bootstrap import build_parts

pytestmark = pytest.mark.integration

DATABASES, GENERATIONS = 12, 4


async def test_generations_never_fall_whatever_the_order_of_the_commands(engine: AsyncEngine, kube: FakeKube) -> None:
    shuffled = random.Random(7)
    databases = [new_id() for _ in range(DATABASES)]
    commands = [apply_command(d, g, instances=g) for d in databases for g in range(1, GENERATIONS + 1)]
    deliveries = commands + shuffled.sample(commands, 10)
    shuffled.shuffle(deliveries)
    provisioners = [
        Provisioner(
            build_parts(engine=engine, kube=kube, options=OPTIONS, owner=owner, namespace_prefix="postern-"),
            kube,
            engine,
        )
        for owner in ("a", "b")
    ]

    async with asyncio.TaskGroup() as group:
        loops = [group.create_task(p.parts.reconciling.run()) for p in provisioners]
        for event in deliveries:
            await shuffled.choice(provisioners).handle(event)
        await eventually(lambda: all_applied(engine), seconds=20)
        for loop in loops:
            loop.cancel()

    written: dict[str, list[int]] = defaultdict(list)
    for change in kube._history:
        if change.resource == CLUSTERS:
            generation = int(change.body["metadata"]["annotations"]["postern.dev/generation"])
            written[change.body["metadata"]["name"]].append(generation)
    assert len(written) == DATABASES
    for generations in written.values():
        assert generations == sorted(generations)
        assert generations[-1] == GENERATIONS
    applied = await provisioners[0].events("database.applied")
    told = [(event.database_id, event.generation) for event in applied]
    assert len(told) == len(set(told))


async def all_applied(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        query = "SELECT count(*) FROM provisioner.targets WHERE applied_generation = :generation"
        return bool(await connection.scalar(text(query), {"generation": GENERATIONS}) == DATABASES)
