"""Why a step failed, in the words that people need."""

import dagster as dg


def failure_text(event: dg.DagsterEvent) -> str | None:
    """What a failed step has to say: a failure for people as it is, others by their first cause.

    None where it says only that a blocking check failed: the gates are told of by themselves.
    """
    data = event.step_failure_data
    text = data.user_failure_data.description if data.user_failure_data else None
    if not text and data.error is not None:
        text = (data.error.cause or data.error).message.strip()
    return None if text and "check" in text and "blocking" in text.lower() else text
