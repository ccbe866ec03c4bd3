"""Settings of queues."""

import pytest

from softswitch.settings import Settings
from softswitch.settings.queue import Queue
from softswitch.settings.telephones import Route, User

ANNA = User(name="anna", password="secret")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "a b"}, "name"),
        ({"users": ()}, "users"),
        ({"timeout_to": "no callee"}, "timeout_to"),
        ({"timeout_to": "queue:sales"}, "timeout_to"),
        ({"position": "{place}"}, "position"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, object], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Queue(**{"name": "sales", "users": ("anna",), **fields})  # type: ignore[arg-type]


def test_users_and_routes_of_queues_must_be_there() -> None:
    queue = Queue("sales", ("anna",))
    Settings(user=(ANNA,), queue=(queue,), route=(Route("1", "queue:sales"),)).check_telephones()
    with pytest.raises(ValueError, match="no \\[\\[user\\]\\] named 'anna'"):
        Settings(queue=(queue,)).check_telephones()
    with pytest.raises(ValueError, match="no \\[\\[queue\\]\\] named 'sales'"):
        Settings(route=(Route("1", "queue:sales"),)).check_telephones()
    onward = Queue("sales", ("anna",), timeout_to="user:bert")
    with pytest.raises(ValueError, match="timeout_to: there is no"):
        Settings(user=(ANNA,), queue=(onward,)).check_telephones()
