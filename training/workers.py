"""Processes that work side by side, and do not outlive who started them."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor


def worker_pool(jobs: int) -> ProcessPoolExecutor:
    """A pool of ``jobs`` fresh processes (a fork would copy the threads of numerical libraries half).

    A worker of a plain pool waits for work for ever when its parent is killed; these end with it.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(max_workers=jobs, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    threading.Thread(target=_watch, name="parent-watch", daemon=True).start()


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
