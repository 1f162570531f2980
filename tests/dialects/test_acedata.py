"""Ace Data Cloud's dialect, as its clients see it."""

from tests.dialects.conftest import Service

IMAGE2TEXT = "/captcha/recognition/image2text"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_text_is_read_charged_and_logged(service: Service, picture: str) -> None:
    before = service.balance()
    reply = service.client.post(IMAGE2TEXT, json={"image": picture}, headers=bearer(service.key))
    assert reply.status_code == 200
    body = reply.json()
    assert body["text"] == "7364"
    assert body["success"] is True
    call = service.last_call()
    assert call.trace_id == body["trace_id"]
    assert service.balance() == before - 1000
