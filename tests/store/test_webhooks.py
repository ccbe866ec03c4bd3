"""Webhooks in the store."""

from pathlib import Path

from softswitch.store.database_store import DatabaseStore
from softswitch.store.store import CallRecord, WebhookRecord


def hook(number: int, url: str = "https://example.org/") -> WebhookRecord:
    return WebhookRecord(id=number, account="app", url=url, event_type="on-call", created_at=1)


async def test_webhook_is_kept_replaced_and_forgotten(tmp_path: Path):
    store = DatabaseStore(tmp_path)
    await store.start()
    assert await store.save_webhook(hook(1))
    assert await store.save_webhook(hook(2))
    assert await store.save_webhook(hook(2, "https://example.com/"))
    assert await store.records.webhooks() == [hook(1), hook(2, "https://example.com/")]
    assert await store.delete_webhook(1)
    await store.close()
    again = DatabaseStore(tmp_path)
    await again.start()
    assert await again.records.webhooks() == [hook(2, "https://example.com/")]
    await again.close()


async def test_tag_and_account_of_a_call_are_kept(tmp_path: Path):
    store = DatabaseStore(tmp_path)
    await store.start()
    record = CallRecord(id="a", kind="sip", created_at=1, tag="vip", account="app")
    assert await store.save_call(record)
    assert await store.records.call("a") == record
    await store.close()
