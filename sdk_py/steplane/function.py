"""What a user defines: a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from steplane.gen.steplane.v1 import function_pb2
from steplane.override import override

H = TypeVar("H", bound=Callable[..., Any])


class Function(Generic[H]):
    """A registered function. It can be called as what it was defined from."""

    def __init__(
        self,
        handler: H,
        definition: function_pb2.FunctionDefinition,
        *,
        failure_handler: Function[Any] | None = None,
    ) -> None:
        self.handler = handler
        """What was decorated."""
        self.definition = definition
        """What the server is told."""
        self.failure_handler = failure_handler
        """The function that runs once a run of this one has failed for good. Whoever serves this one serves it too."""
        self.is_async = _is_async(handler)
        """Whether it runs on the event loop; else it runs in a thread."""
        self.__doc__ = handler.__doc__
        self.__name__ = getattr(handler, "__name__", definition.function_id)
        self.__wrapped__ = handler

    @property
    def id(self) -> str:
        """The function's id inside its app."""
        return self.definition.function_id

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the handler."""
        return self.handler(*args, **kwargs)

    @override
    def __repr__(self) -> str:
        return f"<Function {self.definition.app_id}/{self.id}>"


def _is_async(handler: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004 it is looked at, not asked for
