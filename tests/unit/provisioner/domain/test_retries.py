"""The retry table (semantics 29), row by row."""

import pytest

from postern_common.errors import DependencyDownError, PermanentError, TransientError
from postern_provisioner.domain.retries import MAX_ATTEMPTS, Failure, History, judge

FRESH = History(attempts=0, failures=0, last_code=None, age_seconds=0.0)


def high(_low: float, high: float) -> float:
    return high


def of(error: Exception, history: History = FRESH) -> Failure:
    return judge(error, history, jitter=high)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DependencyDownError("kubernetes_unavailable", "down"), "kubernetes_unavailable"),
        (DependencyDownError("kubernetes_forbidden", "no right"), "kubernetes_forbidden"),
        (DependencyDownError("crd_missing", "not installed"), "crd_missing"),
        (TransientError("apply_conflict", "changed"), "apply_conflict"),
        (TimeoutError(), "kubernetes_unavailable"),
    ],
)
def test_what_heals_by_itself_is_waited_for_and_never_counted(error: Exception, code: str) -> None:
    failure = of(error, History(attempts=3, failures=200, last_code=None, age_seconds=0))

    assert (failure.code, failure.retryable, failure.counted) == (code, True, False)
    assert failure.delay == 15.0


@pytest.mark.parametrize("code", ["manifest_rejected", "admission_denied", "volume_expansion_refused", "name_conflict"])
def test_what_was_refused_fails_at_once(code: str) -> None:
    failure = of(PermanentError(code, "refused"))

    assert failure == Failure(code, "refused", retryable=False, counted=True, delay=None, announce=True)


def test_an_unknown_error_gets_eight_attempts() -> None:
    fates = [of(ValueError("x"), History(n, n, None, 0)).retryable for n in range(MAX_ATTEMPTS)]

    assert fates == [True] * 7 + [False]
    assert of(ValueError("secret text")).detail == "an unexpected error occurred (ValueError)"


def test_delays_double_up_to_fifteen_seconds() -> None:
    error = DependencyDownError("kubernetes_unavailable", "down")
    delays = [of(error, History(0, failures, None, 0)).delay for failures in range(8)]

    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0]


def test_after_every_deadline_it_goes_on_slowly() -> None:
    assert of(DependencyDownError("crd_missing", ""), History(0, 0, None, 901)).delay == 60.0


def test_a_servers_retry_after_is_the_least_we_wait() -> None:
    assert of(DependencyDownError("kubernetes_unavailable", "", retry_after=30)).delay == 30
    assert of(DependencyDownError("kubernetes_unavailable", "", retry_after=0.01)).delay == 0.2


def test_a_lasting_failure_is_told_once_per_cause() -> None:
    down = DependencyDownError("kubernetes_unavailable", "down")

    assert of(down).announce
    assert not of(down, History(0, 5, "kubernetes_unavailable", 0)).announce
    assert of(down, History(0, 5, "crd_missing", 0)).announce


def test_codes_of_the_outside_do_not_get_through() -> None:
    assert of(TransientError("some_library_code", "")).code == "unexpected_error"


def test_a_long_or_broken_message_becomes_one_short_line() -> None:
    detail = of(PermanentError("admission_denied", "bad\n\x1b[31m" + "x" * 1000)).detail

    assert len(detail) == 400
    assert detail.isprintable()
