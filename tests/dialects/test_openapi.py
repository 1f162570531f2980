"""Schemathesis walks every dialect's OpenAPI, with good and with bad data, and finds no bug of ours."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from tests.service import Service

WALK = settings(
    max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("dialect", ["acedata", "captchaapi", "createtask", "v1"])
def test_a_document_says_how_a_key_is_sent(service: Service, dialect: str) -> None:
    document = service.client.get(f"/openapi/{dialect}.json").json()
    known = document["components"]["securitySchemes"]
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    named = {name for each in operations for way in each.get("security", []) for name in way}
    assert named <= known.keys()


@pytest.mark.parametrize("dialect", ["acedata", "captchaapi", "createtask", "v1"])
def test_a_document_says_bounds_as_json_schema_has_them(service: Service, dialect: str) -> None:
    document = service.client.get(f"/openapi/{dialect}.json").text
    assert [name for name in ("ge", "le", "gt", "lt", "strict") if f'"{name}":' in document] == []
    assert '"maximum":' in document


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("dialect", ["acedata", "captchaapi", "createtask", "v1"])
def test_no_request_finds_a_bug(service: Service, dialect: str, mode: GenerationMode) -> None:
    address = str(service.client.base_url).rstrip("/")
    document = schemathesis.openapi.from_dict(service.client.get(f"/openapi/{dialect}.json").json())
    document.config.update(base_url=address)
    keys = (
        {"X-API-Key": service.key} if dialect == "captchaapi" else {"Authorization": f"Bearer {service.key}"}
    )
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    if mode is GenerationMode.NEGATIVE:
        operations = [each for each in operations if each.body or each.query]
    assert operations
    for operation in operations:

        @WALK
        @given(case=operation.as_strategy(generation_mode=mode))
        def walk(case: schemathesis.Case) -> None:
            if dialect == "createtask" and isinstance(case.body, dict):
                case.body["clientKey"] = service.key
            case.call_and_validate(headers=keys, checks=[not_a_server_error])

        walk()
    assert service.calls(), "nothing that was sent reached a call"
