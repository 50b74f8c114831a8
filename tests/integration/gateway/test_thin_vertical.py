"""The way of one request inside the gateway: asked, commanded, observed, done."""

from tests.integration.gateway.conftest import Gateway, applied, received, seen


async def test_a_database_becomes_ready_and_its_create_succeeds(gateway: Gateway) -> None:
    database = await gateway.create()
    assert (database["state"], database["operation"]["status"]) == ("requested", "pending")

    await gateway.tell(received(database), "/postern/provisioner")
    await gateway.tell(seen(database, 1, "provisioning", observed_generation=0, reason="creating"))
    assert (await gateway.get())["state"] == "provisioning"
    await gateway.tell(applied(database), "/postern/provisioner")
    await gateway.tell(seen(database, 2, "ready", ready_instances=1, primary="orders-1"))

    now = await gateway.get()
    assert (now["state"], now["observed_generation"], now["observed"]["primary"]) == ("ready", 1, "orders-1")
    assert now["operation"]["status"] == "succeeded"
    phases = [phase["name"] for phase in now["operation"]["phases"]]
    assert phases == ["accepted", "published", "received", "applied", "observed", "done"]
    assert now["operation"]["progress"] == 100
