"""Around every call: requests that can't be read, errors → statuses, and a line in the log.

One wrapper a method, made at its first call. Payloads are never logged.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, NoReturn, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError
from typing_extensions import override

from controlplane.errors import FieldViolation, InvalidArgument, SteplaneError
from controlplane.rpc.status import status_of

log = structlog.get_logger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Parse: TypeAlias = Callable[[bytes], Any]

_UNREADABLE: Final = "is not a valid {name}: its bytes do not follow the contract, or a text in it is not UTF-8"


class Calls(grpc.aio.ServerInterceptor):
    """Wraps the methods of all services."""

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}

    @override
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The wrapped method of a call; gRPC itself answers calls of methods that there are not."""
        method = handler_call_details.method
        found = self._wrapped.get(method)
        if found is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            found = self._wrapped[method] = _wrap(method, handler)
        return found


def _wrap(method: str, handler: Any) -> Handler:
    behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    if handler.request_streaming:
        make = grpc.stream_stream_rpc_method_handler if handler.response_streaming else None
        parse = _raising(handler.request_deserializer)
    else:
        make = (
            grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
        )
        parse = _telling(handler.request_deserializer)
    if make is None:
        raise NotImplementedError(f"{method}: no service has calls of this shape yet")
    call: Any = (
        _around_generator(method, behaviour)
        if inspect.isasyncgenfunction(behaviour)
        else _around_coroutine(method, behaviour)
    )
    wrapped: Handler = make(call, request_deserializer=parse, response_serializer=handler.response_serializer)
    return wrapped


def _around_coroutine(
    method: str, behaviour: Callable[[Any, Context], Awaitable[Any]]
) -> Callable[[Any, Context], Awaitable[Any]]:
    async def call(request: Any, context: Context) -> Any:
        began = time.monotonic()
        try:
            _check_readable(request)
            response = await behaviour(request, context)
        except grpc.aio.BaseError:
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, the caller is told a status
            await _abort(context, method, error)
        log.debug("call_answered", method=method, seconds=time.monotonic() - began)
        return response

    return call


def _around_generator(
    method: str, behaviour: Callable[[Any, Context], AsyncIterator[Any]]
) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        began = time.monotonic()
        try:
            _check_readable(request)
            async with aclosing(behaviour(request, context)) as responses:  # type: ignore[type-var]  # a generator
                async for response in responses:
                    yield response
        except grpc.aio.BaseError:
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, the caller is told a status
            await _abort(context, method, error)
        log.debug("call_answered", method=method, seconds=time.monotonic() - began)

    return call


def _check_readable(request: Any) -> None:
    if type(request) is InvalidArgument:
        raise request


async def _abort(context: Context, method: str, error: Exception) -> NoReturn:
    status = status_of(error)
    if isinstance(error, SteplaneError):
        log.debug("call_refused", method=method, code=status.code.name, reason=error.reason)
    else:
        log.error("call_failed", method=method, exc_info=error)
    await context.abort(status.code, status.message, status.trailers)


def _raising(parse: Parse) -> Parse:
    """For streams, whose requests are read inside the call: the error is raised where they are read."""
    name = _name_of(parse)

    def read(raw: bytes) -> Any:
        try:
            return parse(raw)
        except DecodeError:
            raise _unreadable(name) from None

    return read


def _telling(parse: Parse) -> Parse:
    """For single requests, which gRPC reads before the call: the error is passed on in place of the request."""
    name = _name_of(parse)

    def read(raw: bytes) -> Any:
        try:
            return parse(raw)
        except DecodeError:
            return _unreadable(name)

    return read


def _unreadable(name: str) -> InvalidArgument:
    return InvalidArgument(FieldViolation("request", _UNREADABLE.format(name=name)))


def _name_of(parse: Parse) -> str:
    return str(parse(b"").DESCRIPTOR.name)
