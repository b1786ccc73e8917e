"""A progress of one's own, together with the usual one."""

import fanwise
from fanwise import progress


class Milestones:
    """Says when each quarter is done."""

    def start(self, total: int | None, label: str) -> None:
        self.total, self.done, self.told = total or 0, 0, 0

    def on(self, event: object) -> None:
        self.done += getattr(event, "ok", 0)
        while self.total and self.told < 4 and self.done >= (self.told + 1) * self.total / 4:
            self.told += 1
            print(f"{25 * self.told} % done")

    def finish(self, report: fanwise.RunReport) -> None:
        print(f"{report.ok} of {report.items} items")


fanwise.map(abs, range(-50, 50), progress=progress.tee(progress.auto(), Milestones()))
