"""Failures in the words that people need: how a step ends with one, and what one says."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason

from synth_platform.errors import SynthError
from synth_platform.secrecy import reveals, scrub


@contextmanager
def failing_for_people() -> Iterator[None]:
    """Turn problems the user has to mend into failures that show the message and are not retried.

    Dagster stores errors with all that caused them: one that would show a secret is told in words without it.
    """
    try:
        yield
    except SynthError as error:
        raise dg.Failure(str(error), allow_retries=False) from None if reveals(error) else error
    except dg.Failure as error:
        if reveals(error):
            raise dg.Failure(scrub(error.description or ""), allow_retries=error.allow_retries) from None
        raise
    except Exception as error:
        if reveals(error):
            raise RuntimeError(scrub(f"{type(error).__name__}: {error}")) from None
        raise


def failure_text(event: dg.DagsterEvent) -> str:
    """What a failed step has to say: a failure for people as it is, others by their first cause."""
    data = event.step_failure_data
    text = data.user_failure_data.description if data.user_failure_data else None
    if not text and data.error is not None:
        text = (data.error.cause or data.error).message.strip()
    return text or ""


def failure_beside_gates(event: dg.DagsterEvent) -> str | None:
    """The same, or None where it says only that a blocking check failed: the gates are told of by themselves."""
    text = failure_text(event)
    return None if "check" in text and "blocking" in text.lower() else text


def was_stopped(event: dg.DagsterEvent) -> bool:
    """Whether an event says that a run failed because it was told to stop, by Ctrl+C or SIGTERM."""
    data = event.event_specific_data
    return isinstance(data, JobFailureData) and data.failure_reason is RunFailureReason.UNEXPECTED_TERMINATION
