"""What users type is understood, or refused with what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from controlplane.client_commands.input import json_object, json_value, moment, split_function, step_key


@click.command()
@click.argument("data", type=json_object)
def echo(data: bytes) -> None:
    """Say what was understood."""
    click.echo(data)


def test_json_as_it_is() -> None:
    """An object is taken byte for byte."""
    assert CliRunner().invoke(echo, ['{"a":  1}']).stdout == '{"a":  1}\n'


def test_json_from_standard_input() -> None:
    """A minus stands for standard input."""
    assert CliRunner().invoke(echo, ["-"], input='{"ü": 1}').stdout == '{"ü": 1}\n'


def test_json_from_a_file(tmp_path: Path) -> None:
    """An at sign stands before a file's name."""
    path = tmp_path / "data.json"
    path.write_text('{"ü": 1}', "utf-8")
    assert CliRunner().invoke(echo, [f"@{path}"]).stdout == '{"ü": 1}\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "a JSON object is needed"),
        ("3", "a JSON object is needed"),
        ("{1}", "line 1 column 2"),
        ("", "that is not JSON"),
        ('{"a": NaN}', "NaN is no JSON value"),
        ("[" * 100_000, "that is not JSON"),
        ("@/no/such/file", "cannot read /no/such/file: No such file"),
    ],
)
def test_what_is_no_json_object_is_a_usage_error(text: str, why: str) -> None:
    """It says what is wrong, and where, and exits with 2."""
    result = CliRunner().invoke(echo, [text])
    assert result.exit_code == 2
    assert why in result.stderr


def test_bytes_that_are_no_text_are_a_usage_error() -> None:
    """Standard input that is not UTF-8 is refused."""
    result = CliRunner().invoke(echo, ["-"], input=b'{"a": "\xff"}')
    assert result.exit_code == 2
    assert "not UTF-8" in result.stderr


def test_moments() -> None:
    """A duration is ago, with a plus ahead; ISO 8601 is itself."""
    now = datetime.now(UTC)  # noqa: TID251 what typed moments count from
    assert timedelta(minutes=9) < now - moment("10m") <= timedelta(minutes=10)
    assert timedelta(minutes=9) < moment("+10m") - now < timedelta(minutes=11)
    assert moment("2026-01-31T12:00:00Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["soon", "9999999w", "+", ""])
def test_what_is_no_moment_is_a_usage_error(text: str) -> None:
    """It is refused, not guessed at."""
    with pytest.raises(click.BadParameter):
        moment(text)


def test_functions_are_named_with_or_without_their_app() -> None:
    """The app may be left out."""
    assert split_function("shop/checkout") == ("shop", "checkout")
    assert split_function("checkout") == ("", "checkout")


@pytest.mark.parametrize("text", ["null", "[1, 2]", '"x"', '{"a": 1}'])
def test_any_json_is_a_value(text: str) -> None:
    """Where any JSON will do, it is taken byte for byte."""
    assert json_value(text) == text.encode()


@pytest.mark.parametrize("text", ["", "{1}", "NaN"])
def test_what_is_no_json_is_no_value(text: str) -> None:
    """It is refused."""
    with pytest.raises(click.BadParameter, match="that is not JSON"):
        json_value(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [("charge", "charge#0"), ("charge#0", "charge#0"), ("charge#12", "charge#12"), ("a#b", "a#b#0"), ("", "")],
)
def test_steps_are_named_with_or_without_their_number(text: str, key: str) -> None:
    """The number may be left out of the first step of an id."""
    assert step_key(text) == key
