from __future__ import annotations

import math
import pickle
import traceback

import pytest

from spikeformer import error_handling as eh


def test_the_tree_of_errors():
    for name in ("HardwareCompatibilityError", "ConversionError", "SpikingDynamicsError"):
        assert issubclass(getattr(eh, name), eh.NeuromorphicError)
    for name in ("NeuromorphicError", "DataError", "BackendUnavailableError", "ArgumentError"):
        assert issubclass(getattr(eh, name), eh.SpikeformerError)
    assert issubclass(eh.ArgumentError, ValueError)
    assert issubclass(eh.ConfigurationError, ValueError)


def test_argument_error_says_what_was_expected_what_came_and_what_to_do():
    error = eh.ArgumentError("tau_mem", -1, "above 0", "Try 20.")
    assert str(error) == "Expected `tau_mem` to be above 0, but got -1. Try 20."
    assert str(eh.ArgumentError("a", "b", "c")) == "Expected `a` to be c, but got 'b'."


def test_argument_error_survives_a_trip_between_processes():
    error = pickle.loads(pickle.dumps(eh.ArgumentError("tau", -1, "above 0", "Try 20.")))
    assert (error.argument, error.value, error.expected) == ("tau", -1, "above 0")
    assert "Try 20." in str(error)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (lambda v: eh.check_positive_int("x", v), [1, 7], [0, -1, 1.0, True, "1", None]),
        (lambda v: eh.check_positive("x", v), [1, 1e-9], [0, -1, math.inf, math.nan, True, "1"]),
        (lambda v: eh.check_interval("x", v, 0, 1), [0, 1, 0.5], [-0.1, 1.1, math.nan, True, "1"]),
        (lambda v: eh.check_choice("x", v, ("a", "b")), ["a", "b"], ["c", "A", ""]),
        (lambda v: eh.check_divisible("x", v, "y", 4), [4, 12], [6, 0, 4.0]),
    ],
)
def test_checks(check, good, bad):
    for value in good:
        assert check(value) == value
    for value in bad:
        with pytest.raises(eh.ArgumentError, match="`x`"):
            check(value)


def test_checks_name_what_is_accepted():
    with pytest.raises(eh.ArgumentError, match=r"one of 'a', 'b'.*'c'"):
        eh.check_choice("x", "c", ("a", "b"))
    with pytest.raises(eh.ArgumentError, match="`d_model` to be divisible by nhead=5"):
        eh.check_divisible("d_model", 8, "nhead", 5)
    with pytest.raises(eh.ArgumentError, match="`nhead`"):
        eh.check_divisible("d_model", 8, "nhead", 0)


def test_error_context_keeps_type_and_cause_and_adds_where():
    cause = KeyError("spikes")
    with (
        pytest.raises(eh.SpikingDynamicsError, match="input holds NaN") as caught,
        eh.error_context("pipeline", "fit"),
        eh.error_context("spike_encoding", "encode"),
    ):
        raise eh.SpikingDynamicsError("input holds NaN") from cause
    assert str(caught.value) == "input holds NaN"
    assert caught.value.__cause__ is cause
    printed = "".join(traceback.format_exception_only(caught.value))
    assert printed.endswith("while running spike_encoding.encode\nwhile running pipeline.fit\n")


def test_error_context_is_silent_where_nothing_fails():
    with eh.error_context("a", "b"):
        value = 1
    assert value == 1
