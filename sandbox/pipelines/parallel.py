"""Runs the actions of one order, or the rules of one condition, at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


def run_all(name: str, tasks: Sequence[Callable[[], bool]]) -> bool:
    """Run tasks until all have ended; return whether all succeeded.

    Raises the first exception of a task after the last one has ended.
    """
    results: list[bool] = []
    errors: list[BaseException] = []

    def run(task: Callable[[], bool]) -> None:
        try:
            results.append(task())
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that waits
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(task,), name=name, daemon=True) for task in tasks[1:]
    ]
    for thread in threads:
        thread.start()
    if tasks:
        run(tasks[0])
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return all(results)
