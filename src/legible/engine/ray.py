"""Recognizers on a Ray cluster: a deployment a kind, called in batches, and again when a node is lost."""

import asyncio
import ipaddress
import logging
import os
import socket
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import grpc
import ray
from ray import serve
from ray.exceptions import AuthenticationError, RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatus

from legible import model_store, recognizers
from legible.engine.lane import Call, Lane, Lost, Outcome
from legible.errors import NotAvailable, Refusal, Unavailable
from legible.tasks import Answer, Kind, Task

# A node that says nothing more is given up after this part of a call's time limit.
PATIENCE = 0.25
DEPLOY_SECONDS = 300
PROBE_SECONDS = 5
# Nobody listens there; asking the system for the way to them sends nothing.
FAR_AWAY = ("192.0.2.1", "2001:db8::1")


class Unfit(Exception):  # noqa: N818 - as a refusal, this is an answer
    """Ray cannot be used as it is set up; the message is a sentence that says what to do."""


class RayEngine:
    """The recognizers of this installation's version on the cluster that this machine is a node of.

    The first server that starts deploys them, and they stay when it stops.
    """

    def __init__(
        self,
        kinds: Collection[Kind],
        limit_seconds: float,
        queue_limit: int = 256,
        replicas: tuple[int, int] = (1, 100),
    ) -> None:
        self.kinds = frozenset(kinds)
        self.limit_seconds, self.queue_limit, self.replicas = limit_seconds, queue_limit, replicas
        self.pending = 0
        self._lanes: dict[Kind, Lane] = {}

    async def recognize(self, task: Task) -> Answer:
        lane = self._lanes.get(task.kind)
        if lane is None:
            raise NotAvailable(
                f"recognizing {task.kind} is not available yet; allowed: {', '.join(sorted(self.kinds))}"
            )
        if self.pending >= self.queue_limit:
            raise Unavailable(f"{self.pending} recognitions are waiting already; try again in a moment")
        self.pending += 1
        try:
            return await lane.recognize(task)
        finally:
            self.pending -= 1

    async def start(self) -> None:
        handles = await asyncio.to_thread(self._deployed)
        for kind, handle in handles.items():
            self._lanes[kind] = Lane(caller(handle), self.limit_seconds * PATIENCE)

    async def stop(self) -> None:
        await asyncio.gather(*(lane.stop() for lane in self._lanes.values()))
        await asyncio.to_thread(ray.shutdown)

    def _deployed(self) -> Mapping[Kind, DeploymentHandle[Any]]:
        connect()
        _adopt_log_lines()
        serve.start(proxy_location="Disabled")  # no door of Ray's own, past accounts and money
        there = serve.status().applications
        if missing := [kind for kind in self.kinds if application(kind) not in there]:
            serve.run_many([self._target(kind) for kind in missing], wait_for_applications_running=False)
        _until_running(self.kinds)
        return {kind: serve.get_deployment_handle(kind.value, application(kind)) for kind in self.kinds}

    def _target(self, kind: Kind) -> serve.RunTarget:
        deployment = serve.deployment(
            name=kind.value,
            num_replicas="auto",
            autoscaling_config={
                "min_replicas": self.replicas[0],
                "max_replicas": max(self.replicas),
                "upscale_delay_s": 5,
            },
            # One runs and one is at hand. The rest waits with the servers, where it can still be batched.
            max_ongoing_requests=2,
            ray_actor_options={"num_cpus": 1},
            health_check_period_s=3,
            logging_config={"enable_access_log": False, "log_level": "WARNING"},
        )(Recognizing)
        return serve.RunTarget(
            deployment.bind(kind, version("legible")), application(kind), route_prefix=None
        )


class Recognizing:
    """The recognizer of one kind, in a process of its own with one thread."""

    def __init__(self, kind: Kind, release: str) -> None:
        if release != version("legible"):
            raise RuntimeError(f"this node has Legible {version('legible')}, the servers have {release}")
        self.recognize = recognizers.available()[kind]
        for name in recognizers.models_of({kind}):
            model_store.load(name)

    def __call__(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Each picture is read by itself, so that its company changes nothing."""
        return [self._outcome(task) for task in tasks]

    def _outcome(self, task: Task) -> Outcome:
        try:
            return self.recognize(task)
        except Refusal as refusal:
            return refusal
        except Exception:
            # As text, since not every exception can travel.
            return RuntimeError(f"a recognizer broke on a Ray node\n{traceback.format_exc()}")


def caller(handle: DeploymentHandle[Any]) -> Call:
    """Asks any replica of the deployment."""

    async def call(tasks: Sequence[Task]) -> Sequence[Outcome]:
        response = handle.remote(tasks)
        try:
            outcomes: Sequence[Outcome] = await response
        except asyncio.CancelledError:
            response.cancel()  # type: ignore[no-untyped-call]
            raise
        except RayTaskError:
            raise  # a bug of ours; whatever else Ray raises means that nobody has answered
        except (RayError, RayServeException) as error:
            raise Lost(str(error)) from error
        return outcomes

    return call


def application(kind: Kind) -> str:
    """Each version has recognizers of its own, so that servers of two versions can share a cluster."""
    return f"legible-{version('legible')}-{kind}"


def _until_running(kinds: Collection[Kind]) -> None:
    deadline = time.monotonic() + DEPLOY_SECONDS
    waiting = {application(kind) for kind in kinds}
    while waiting:
        for name, found in serve.status().applications.items():
            if found.status == ApplicationStatus.DEPLOY_FAILED:
                raise Unfit(f"Ray could not start {name}: {found.message}")
            if found.status == ApplicationStatus.RUNNING:
                waiting.discard(name)
        if time.monotonic() > deadline:
            raise Unfit(
                f"Ray did not start {', '.join(sorted(waiting))} within {DEPLOY_SECONDS} seconds: "
                "has the cluster a free CPU for each? `ray status` tells."
            )
        time.sleep(0.2)


def connect() -> None:
    """Joins the cluster that this machine is a node of (or that `RAY_ADDRESS` names).

    Raises `Unfit` unless it demands a token, and is bound to private addresses.
    """
    if os.environ.get("RAY_AUTH_MODE") != "token":
        raise Unfit(
            "Ray runs whatever reaches it, so it must ask for a token: set RAY_AUTH_MODE=token and the same "
            "RAY_AUTH_TOKEN_PATH for every Ray node and for this server (docs/deploy.md)."
        )
    if not ray.is_initialized():
        _join()
    address = str(ray.get_runtime_context().gcs_address)
    if not _demands_token(address):
        _leave("This Ray cluster takes anybody: start its nodes with RAY_AUTH_MODE=token (docs/deploy.md).")
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["Alive"] and not _is_private(node["NodeManagerAddress"]):
            _leave(
                f"A Ray node has the public address {node['NodeManagerAddress']}: "
                "start it with --node-ip-address and a private one (docs/deploy.md)."
            )
    if exposed := _exposed(int(address.rpartition(":")[2])):
        _leave(f"Ray answers on the public address {exposed}: close its ports there with a firewall.")


def _join() -> None:
    logging.getLogger("ray").setLevel(logging.WARNING)
    try:
        ray.init("auto", log_to_driver=False, configure_logging=False)
    except (AuthenticationError, ConnectionError, RuntimeError, TimeoutError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise Unfit(
            f"This machine is in no Ray cluster that this server's token opens ({reason}): join one with "
            "`ray start`, and give this server the same token (docs/deploy.md)."
        ) from None


def _adopt_log_lines() -> None:
    """Warnings of Ray Serve go where those of uvicorn go, in our form."""
    lines = logging.getLogger("ray.serve")
    lines.handlers, lines.propagate = logging.getLogger("uvicorn").handlers, False
    lines.setLevel(logging.WARNING)


def _leave(why: str) -> None:
    ray.shutdown()
    raise Unfit(why)


def _demands_token(address: str) -> bool:
    """Whether the cluster turns down who has none: asked without, since with one every cluster agrees."""
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")
        try:
            ask(b"", timeout=PROBE_SECONDS)
        except grpc.RpcError as error:
            return bool(error.code() == grpc.StatusCode.UNAUTHENTICATED)
    return False


def _is_private(address: str) -> bool:
    return not ipaddress.ip_address(address).is_global


def _exposed(port: int) -> str | None:
    """A public address of this machine on which that port is open."""
    for far in FAR_AWAY:
        family = socket.AF_INET6 if ":" in far else socket.AF_INET
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as way:
            way.connect((far, 9))
            ours = way.getsockname()[0]
            if not _is_private(ours):
                socket.create_connection((ours, port), PROBE_SECONDS).close()
                return str(ours)
    return None
