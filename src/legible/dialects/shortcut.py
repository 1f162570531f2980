"""The short way of a recognition: from its path straight to its endpoint."""

from collections.abc import Awaitable, Callable, Iterable

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from legible.errors import Refusal


class Shortcut:
    """FastAPI describes our routes. On its own way to them it asks one route after the other and opens stacks
    for dependencies that ours do not have, which every call would pay for. `refused` answers a refusal that
    the endpoint raises, as FastAPI's handler would."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Iterable[BaseRoute],
        refused: Callable[[Request, Refusal], Awaitable[Response]],
    ) -> None:
        self.app, self.refused = app, refused
        self.endpoints = {
            route.path: route.endpoint
            for route in routes
            if isinstance(route, APIRoute) and route.methods == {"POST"}
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        endpoint = self.endpoints.get(scope["path"]) if is_post else None
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await endpoint(request)
        except Refusal as refusal:
            response = await self.refused(request, refusal)
        await response(scope, receive, send)
