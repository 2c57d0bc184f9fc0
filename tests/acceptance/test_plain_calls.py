"""The plain calls on the page about workers without an SDK: each command of grpcurl there is carried out as it stands."""

from __future__ import annotations

import shlex
from typing import Any

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.acceptance.place import Place
from tests.repo.page import ROOT, blocks

PAGE = ROOT / "docs" / "guides" / "workers-without-an-sdk.md"
ADDRESS = "127.0.0.1:7100"


class Grpcurl:
    """What `grpcurl -plaintext -d JSON ADDRESS METHOD` does: it asks the server for the contract, and calls with JSON."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))

    def __call__(self, command: str) -> dict[str, Any]:
        """The answer, as JSON."""
        program, plaintext, flag, data, address, method = shlex.split(command)
        assert (program, plaintext, flag, address) == ("grpcurl", "-plaintext", "-d", ADDRESS)
        service, _, name = method.partition("/")
        found = self._pool.FindServiceByName(service).methods_by_name[name]
        ask, answer = (message_factory.GetMessageClass(each) for each in (found.input_type, found.output_type))
        call = self._channel.unary_unary(
            f"/{method}", request_serializer=ask.SerializeToString, response_deserializer=answer.FromString
        )
        told: dict[str, Any] = json_format.MessageToDict(call(json_format.Parse(data, ask()), timeout=60))
        return told


def test_the_calls_of_the_page_make_a_worker(place: Place) -> None:
    """Registered, sent, polled, reported and renewed, by what the page shows; the run completes."""
    (block,) = [block for block in blocks(PAGE, "bash") if "grpcurl" in block.text]
    register, send, poll, step, renew, end = block.text.splitlines()
    with grpc.insecure_channel(place.address) as channel:
        grpcurl = Grpcurl(channel)
        assert grpcurl(register)["version"] == 1
        (event_id,) = grpcurl(send)["ids"]
        (run,) = grpcurl(poll)["invocations"]
        assert (run["events"][0]["id"], run["epoch"]) == (event_id, 1)
        told = [grpcurl(command.replace('"RUN"', f'"{run["runId"]}"')) for command in (step, renew, end)]
    assert [[ack["status"] for ack in each.get("acks", [])] for each in told] == [
        ["ACK_STATUS_COMMITTED"],
        [],
        ["ACK_STATUS_COMMITTED"],
    ]
    assert told[1] == {}
    (shown,) = place.steplane("run", run["runId"])
    assert (shown["state"], [entry["output"] for entry in shown["steps"]]) == ("completed", [{"ok": True}])
