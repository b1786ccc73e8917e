"""A span for the run, and one for each chunk, as OpenTelemetry wants them.

With the package opentelemetry-api pass ``opentelemetry.trace.get_tracer("fanwise")``; without it this prints.
"""

import time
from importlib.util import find_spec

import fanwise


class Traced:
    def __init__(self, tracer) -> None:
        self.tracer = tracer

    def start(self, total: int | None, label: str) -> None:
        self.began_ns = time.time_ns()
        self.run = self.tracer.start_span(label, start_time=self.began_ns, attributes={"fanwise.items": total or -1})

    def on(self, event: object) -> None:
        if type(event).__name__ == "ChunkDone":
            end = self.began_ns + int(event.at * 1e9)
            span = self.tracer.start_span(
                f"items {event.first}–{event.first + event.count - 1}",
                start_time=end - int(event.busy * 1e9),
                attributes={"fanwise.worker": event.worker, "fanwise.ok": event.ok},
            )
            span.end(end_time=end)

    def finish(self, report: fanwise.RunReport) -> None:
        self.run.end(end_time=self.began_ns + int(report.wall * 1e9))


class Printing:
    """What is used of a tracer and its spans."""

    def start_span(self, name: str, start_time: int, attributes: dict[str, object]) -> "Printing":
        print("span", name, attributes)
        return self

    def end(self, end_time: int) -> None:
        print("end")


if find_spec("opentelemetry"):
    from opentelemetry.trace import get_tracer

    tracer = get_tracer("fanwise")
else:
    tracer = Printing()
fanwise.map(abs, range(-3, 3), progress=Traced(tracer))
