"""Instructions and events of a task, the same for recognition and synthesis."""

from collections.abc import Mapping
from typing import Any

from softswitch.speech.hosted.access import Access
from softswitch.speech.hosted.wire import Endpoint, Failed, text_of, to_json

PATH = "/api-ws/v1/inference"


def endpoint(access: Access) -> Endpoint:
    """Return the address, which is the same for all tasks."""
    return Endpoint(access.socket_url(PATH), {"Authorization": f"bearer {access.key}"})


def run_task(task_id: str, task: str, function: str, model: str, parameters: Mapping[str, object]) -> str:
    """Return the instruction that begins a task."""
    payload = {
        "task_group": "audio",
        "task": task,
        "function": function,
        "model": model,
        "parameters": parameters,
        "input": {},
    }
    return instruction("run-task", task_id, payload)


def instruction(action: str, task_id: str, payload: Mapping[str, object]) -> str:
    """Return an instruction of a task."""
    header = {"action": action, "task_id": task_id, "streaming": "duplex"}
    return to_json({"header": header, "payload": payload})


def failed(found: dict[str, Any]) -> Failed:
    """Return the error of a ``task-failed`` event."""
    code = text_of(found, "header", "error_code")
    said = f"{code} {text_of(found, 'header', 'error_message')}".strip()
    if "ApiKey" in code or "AccessDenied" in code:
        return Failed(said, 401)
    if "Throttling" in code or "RateQuota" in code:
        return Failed(said, 429)
    return Failed(said, 400 if "InvalidParameter" in code or "ModelNotFound" in code else 502)
