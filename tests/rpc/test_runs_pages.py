"""Pages and their tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.errors import InvalidArgument
from controlplane.gen.steplane.v1 import run_pb2
from controlplane.rpc.pages import Page, next_token, read_page


def test_an_unset_page_size_means_the_default() -> None:
    """A request without a size gets pages of 100."""
    assert Page(100, "") == read_page(run_pb2.ListRunsRequest())


def test_a_large_page_size_is_coerced() -> None:
    """A size above 1,000 is taken for 1,000, and 1,000 for itself."""
    assert read_page(run_pb2.ListRunsRequest(page_size=1_000)).size == 1_000
    assert read_page(run_pb2.ListRunsRequest(page_size=1_001)).size == 1_000


def test_a_negative_page_size_is_refused() -> None:
    """A negative size is INVALID_ARGUMENT, and names its field."""
    with pytest.raises(InvalidArgument) as caught:
        read_page(run_pb2.ListRunsRequest(page_size=-1))
    assert [v.field for v in caught.value.violations] == ["page_size"]


@given(st.text(min_size=1))
def test_a_token_gives_its_cursor_back(cursor: str) -> None:
    """Whatever the cursor is, its token leads back to it, with any page size."""
    request = run_pb2.ListRunsRequest(app_id="shop")
    token = next_token(request, cursor)
    assert read_page(run_pb2.ListRunsRequest(app_id="shop", page_size=7, page_token=token)) == Page(7, cursor)


def test_a_token_of_other_filters_is_refused() -> None:
    """A token counts for the filters that it came from only."""
    token = next_token(run_pb2.ListRunsRequest(app_id="shop"), "01J")
    with pytest.raises(InvalidArgument) as caught:
        read_page(run_pb2.ListRunsRequest(app_id="mail", page_token=token))
    assert [v.field for v in caught.value.violations] == ["page_token"]


def test_a_token_of_another_list_is_refused() -> None:
    """A token of one list is no token of another."""
    token = next_token(run_pb2.ListRunsRequest(), "01J")
    with pytest.raises(InvalidArgument):
        read_page(run_pb2.ListEventsRequest(page_token=token))


@given(st.text(min_size=1))
def test_garbage_is_no_token(garbage: str) -> None:
    """Any text that no list gave out is INVALID_ARGUMENT, never another error."""
    with pytest.raises(InvalidArgument):
        read_page(run_pb2.ListRunsRequest(page_token=garbage))
