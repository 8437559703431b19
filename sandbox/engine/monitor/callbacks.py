"""Calls transforms and resource hooks, which programs serve over gRPC."""

from __future__ import annotations

import re
import threading
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from pulumi.runtime.proto import callback_pb2, callback_pb2_grpc

from sandbox.engine.errors import EngineError
from sandbox.engine.plugins.provider_client import GRPC_OPTIONS

Answer = TypeVar("Answer", bound=Message)
_WRAPPED = re.compile(r"^Invoke callback \S+ error: ")
_FRAME = re.compile(r'^  File "(.+)", line (\d+)', re.MULTILINE)


class Callbacks:
    """One connection for each program or component process with callbacks."""

    def __init__(self) -> None:
        self._channels: dict[str, Any] = {}
        self._lock = threading.Lock()

    def invoke(
        self,
        callback: callback_pb2.Callback,
        request: Message,
        response_type: type[Answer],
        what: str = "",
    ) -> Answer:
        """Call a function; EngineError with `what`, reason and place in the program."""
        with self._lock:
            if callback.target not in self._channels:
                self._channels[callback.target] = grpc.insecure_channel(
                    callback.target, options=GRPC_OPTIONS
                )
            stub = callback_pb2_grpc.CallbacksStub(self._channels[callback.target])
        try:
            response = stub.Invoke(
                callback_pb2.CallbackInvokeRequest(
                    token=callback.token, request=request.SerializeToString()
                )
            )
        except grpc.RpcError as error:
            raise EngineError(
                f"{what} failed: {_reason(error)}" if what else _reason(error)
            ) from None
        result: Answer = response_type.FromString(response.response)
        return result

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()


def _reason(error: Any) -> str:
    """Return the exception's message and the program's line instead of the SDK's frames."""
    details = _WRAPPED.sub("", error.details() or "no reason given")
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return f"its program has ended ({details})."
    text = details.partition(":\n  File ")[0].strip() or "it raised an exception without a message"
    frames = _FRAME.findall(details)
    return f"{text} ({frames[-1][0]}, line {frames[-1][1]})" if frames else text
