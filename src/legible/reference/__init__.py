"""The OpenAPI documents, one a dialect, and a reference page drawn from them that needs no internet."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chapter:
    """A dialect as its reader sees it; `about` says in a sentence or two how it is called."""

    name: str
    title: str
    about: str
    router: APIRouter
    security: Mapping[str, Document]


def document(chapter: Chapter) -> Document:
    """The OpenAPI document of one dialect."""
    made = get_openapi(
        title=chapter.title,
        version=version("legible"),
        description=chapter.about,
        routes=chapter.router.routes,
    )
    return _with_security(made, chapter.security)


def whole_document(chapters: list[Chapter]) -> Document:
    """All dialects in one OpenAPI document."""
    about = "Reads captcha images that you send: text, arithmetic, sliders, image grids, the object to click."
    routes = [route for chapter in chapters for route in chapter.router.routes]
    made = get_openapi(title="Legible", version=version("legible"), description=about, routes=routes)
    return _with_security(made, {name: way for chapter in chapters for name, way in chapter.security.items()})


def _with_security(made: Document, ways: Mapping[str, Document]) -> Document:
    made.setdefault("components", {})["securitySchemes"] = dict(ways)
    return made


def page(documents: Mapping[str, Document]) -> str:
    """The reference page: every endpoint with its fields, replies, errors and examples."""
    chapters = [
        {"name": name, "info": each["info"], "operations": list(_operations(each))}
        for name, each in documents.items()
    ]
    return _templates().get_template("page.html").render(chapters=chapters)


@cache
def _templates() -> Environment:
    return Environment(loader=PackageLoader("legible.reference", "."), autoescape=select_autoescape())


def _operations(whole: Document) -> Iterator[dict[str, Any]]:
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            body = (
                operation["requestBody"]["content"]["application/json"] if "requestBody" in operation else {}
            )
            yield {
                "id": operation["operationId"],
                "method": method.upper(),
                "path": path,
                "summary": operation.get("summary", ""),
                "about": operation.get("description", ""),
                "parameters": operation.get("parameters", []),
                "fields": list(_fields(body.get("schema"), whole)),
                "request": _pretty(_example(body.get("schema"), whole)) if body else None,
                "replies": [_reply(status, reply, whole) for status, reply in operation["responses"].items()],
            }


def _reply(status: str, reply: Document, whole: Document) -> dict[str, Any]:
    contents: dict[str, Document] = reply.get("content", {})
    media, content = next(iter(contents.items()), ("", Document()))
    examples = [(each.get("summary", ""), each["value"]) for each in content.get("examples", {}).values()]
    schema = content.get("schema", {})
    choices = schema.get("anyOf", [schema])
    if not examples and media == "application/json":
        examples = [("", _example(each, whole)) for each in choices]
    return {
        "status": status,
        "about": reply.get("description", ""),
        "media": media,
        "fields": [field for each in choices[:1] for field in _fields(each, whole)],
        "examples": [(summary, _pretty(value)) for summary, value in examples],
    }


def _fields(schema: Document | None, whole: Document, prefix: str = "") -> Iterator[dict[str, Any]]:
    resolved = _resolve(schema or {}, whole)
    required = resolved.get("required", [])
    properties = resolved.get("properties", {}).items()
    for name, each in sorted(properties, key=lambda pair: pair[0] not in required):
        inner = _resolve(each, whole)
        yield {
            "name": prefix + name,
            "type": _type(inner, whole),
            "required": name in required,
            "about": each.get("description") or inner.get("description", ""),
        }
        nested = inner.get("items", {}) if inner.get("type") == "array" else inner
        for choice in _choices(nested, whole):
            yield from _fields(choice, whole, f"{prefix}{name}.")


def _choices(schema: Document, whole: Document) -> list[Document]:
    resolved = _resolve(schema, whole)
    return [_resolve(each, whole) for each in resolved.get("anyOf", [resolved])]


def _resolve(schema: Document, whole: Document) -> Document:
    """A schema without the indirections: references are followed, and "or null" is left out."""
    if "$ref" in schema:
        found: Document = whole["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return _resolve(found, whole)
    some = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    if len(some) == 1:
        return {
            **_resolve(some[0], whole),
            **{name: schema[name] for name in ("description", "examples") if name in schema},
        }
    return schema


def _type(schema: Document, whole: Document) -> str:
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each, whole) for each in _choices(schema, whole)))
    if schema.get("type") == "array":
        return f"list of {_type(_resolve(schema.get('items', {}), whole), whole)}"
    return str(schema.get("type", "any"))


def _example(schema: Document | None, whole: Document) -> Any:
    """A value as the schema's own examples have it; optional fields without one are left out."""
    resolved = _resolve(schema or {}, whole)
    if "examples" in resolved:
        return resolved["examples"][0]
    if "const" in resolved:
        return resolved["const"]
    if "properties" in resolved:
        return {
            name: _example(each, whole)
            for name, each in resolved["properties"].items()
            if name in resolved.get("required", []) or "examples" in _resolve(each, whole)
        }
    if resolved.get("type") == "array":
        return [_example(resolved.get("items", {}), whole)]
    if "anyOf" in resolved:
        return _example(resolved["anyOf"][0], whole)
    plain = {"string": "...", "integer": 0, "number": 0, "boolean": True}
    return resolved["enum"][0] if "enum" in resolved else plain.get(str(resolved.get("type")))


def _pretty(value: object) -> Markup:
    """JSON to read, escaped for HTML by Markup.escape."""
    return Markup.escape(json.dumps(value, ensure_ascii=False, indent=2))
