"""The node's pulse. APScheduler ticks and does nothing else: what is due is in the ledger alone."""

import logging
from collections.abc import Callable

from apscheduler.schedulers.background import BackgroundScheduler

from node.errors import StorageError

log = logging.getLogger(__name__)


class Scheduler:
    """Calls functions again and again, each never twice at once; ticks that were missed are not made up for."""

    def __init__(self) -> None:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it tells of every tick
        defaults = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        self._scheduler = BackgroundScheduler(timezone="UTC", job_defaults=defaults)

    def every(self, seconds: float, name: str, tick: Callable[[], object]) -> None:
        """Call ``tick`` every so many seconds from the start on."""
        self._scheduler.add_job(_guarded(name, tick), "interval", seconds=seconds, id=name, name=name)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """Begin no further tick and wait for those that run."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)


def _guarded(name: str, tick: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            tick()
        except StorageError as error:
            log.error("%s waits for the next tick: %s", name, error)
        except Exception:  # a tick's edge: the next one comes all the same
            log.exception("unexpected error in %s", name)

    return run
