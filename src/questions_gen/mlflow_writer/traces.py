"""The teacher's calls as MLflow traces: one a request that was sent or looked up, with its own times."""

from collections.abc import Mapping, Sequence
from typing import Any


def write(experiment: str, run: str, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """`rows` as teacher.client makes them: key, status, question, answer, tokens, and start and end in seconds."""
    from mlflow import start_span_no_context
    from mlflow.entities import SpanType

    for row in rows:
        tokens = {"input_tokens": row["prompt_tokens"], "output_tokens": row["completion_tokens"]}
        span = start_span_no_context(
            name,
            SpanType.CHAT_MODEL,
            inputs={"messages": [{"role": "user", "content": row["question"]}]},
            attributes={
                "key": row["key"],
                "status": row["status"],
                "mlflow.chat.tokenUsage": {**tokens, "total_tokens": sum(tokens.values())},
            },
            tags={"status": row["status"], "key": row["key"]},
            metadata={"mlflow.sourceRun": run},
            experiment_id=experiment,
            start_time_ns=_nanoseconds(row["start"]),
        )
        answered = row["status"] in ("asked", "stored")
        span.end(
            outputs={"choices": [{"message": {"role": "assistant", "content": row["answer"]}}]},
            status="OK" if answered else "ERROR",
            end_time_ns=_nanoseconds(row["end"]),
        )


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
