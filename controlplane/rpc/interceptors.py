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

from controlplane.core.limits import Limits
from controlplane.errors import FieldViolation, InvalidArgument, SteplaneError
from controlplane.rpc.status import status_of

log = structlog.get_logger(__name__)

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Parse: TypeAlias = Callable[[bytes], Any]

_MESSAGE_BYTES_MAX: Final = Limits().frame_bytes_max
_TOO_LARGE: Final = "has {size} bytes; a message has {bytes_max} at most"
_UNREADABLE: Final = "is not a valid {name}: its bytes do not follow the contract, or a text in it is not UTF-8"


class Calls(grpc.aio.ServerInterceptor):
    """Wraps the methods of all services."""

    def __init__(self, *, message_bytes_max: int = _MESSAGE_BYTES_MAX) -> None:
        self._message_bytes_max = message_bytes_max
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
            found = self._wrapped[method] = _wrap(method, handler, self._message_bytes_max)
        return found


def _wrap(method: str, handler: Any, message_bytes_max: int) -> Handler:
    parse = _checked(handler.request_deserializer, message_bytes_max)
    if handler.request_streaming:
        assert handler.response_streaming, f"{method}: no service has calls of this shape yet"
        behaviour, make = handler.stream_stream, grpc.stream_stream_rpc_method_handler
    elif handler.response_streaming:
        behaviour, make, parse = handler.unary_stream, grpc.unary_stream_rpc_method_handler, _telling(parse)
    else:
        behaviour, make, parse = handler.unary_unary, grpc.unary_unary_rpc_method_handler, _telling(parse)
    is_generator = inspect.isasyncgenfunction(behaviour)
    call: Any = _around_generator(method, behaviour) if is_generator else _around_coroutine(method, behaviour)
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


def _checked(parse: Parse, bytes_max: int) -> Parse:
    """Raises `InvalidArgument` for what is no message, which gRPC would call an unknown error."""
    name = str(parse(b"").DESCRIPTOR.name)

    def read(raw: bytes) -> Any:
        if len(raw) > bytes_max:
            raise InvalidArgument(FieldViolation("request", _TOO_LARGE.format(size=len(raw), bytes_max=bytes_max)))
        try:
            return parse(raw)
        except DecodeError:
            raise InvalidArgument(FieldViolation("request", _UNREADABLE.format(name=name))) from None

    return read


def _telling(parse: Parse) -> Parse:
    """For single requests, which gRPC reads before the call: the error is passed on in place of the request."""

    def read(raw: bytes) -> Any:
        try:
            return parse(raw)
        except InvalidArgument as error:
            return error

    return read
