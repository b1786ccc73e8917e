"""Progress as a file that the node exporter of Prometheus reads; no package is needed.

Any object with ``start``, ``on`` and ``finish`` is a progress. Write to the exporter's textfile directory instead.
"""

import os
import tempfile
from pathlib import Path

import fanwise


class PrometheusTextfile:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.label, self.done, self.failed, self.busy_s = "", 0, 0, 0.0

    def start(self, total: int | None, label: str) -> None:
        self.label = label

    def on(self, event: object) -> None:
        name = type(event).__name__
        if name == "ChunkDone":
            self.done += event.ok
            self.busy_s += event.busy
        elif name in {"ItemFailed", "ItemLost"}:
            self.failed += 1

    def finish(self, report: fanwise.RunReport) -> None:
        labels = f'{{run="{self.label}"}}'
        lines = [
            f"fanwise_items_done_total{labels} {self.done}",
            f"fanwise_items_failed_total{labels} {self.failed}",
            f"fanwise_busy_seconds_total{labels} {self.busy_s}",
            f"fanwise_wall_seconds{labels} {report.wall}",
        ]
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("\n".join(lines) + "\n")
        os.replace(temporary, self.path)  # the exporter never sees half a file


with tempfile.TemporaryDirectory() as folder:
    metrics = Path(folder, "fanwise.prom")
    fanwise.run(lambda x: 1 / x, [1, 2, 0, 4], progress=PrometheusTextfile(metrics))
    print(metrics.read_text())
    assert 'fanwise_items_failed_total{run="<lambda>"} 1\n' in metrics.read_text()
