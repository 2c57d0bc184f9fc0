"""Threads for plain functions."""

from __future__ import annotations

import threading

from steplane.worker.threads import Threads


def test_jobs_run_at_the_same_time_and_threads_are_used_again() -> None:
    """As many threads as there are jobs at once; a later job takes one that is idle."""
    threads = Threads()
    barrier = threading.Barrier(4, timeout=30)
    seen: list[threading.Thread] = []
    for _ in range(3):
        threads.start(lambda: (seen.append(threading.current_thread()), barrier.wait()))  # type: ignore[arg-type, func-returns-value]
    barrier.wait()
    assert len(set(seen)) == 3
    assert all(thread.daemon for thread in seen)
    threads.close()
    for thread in seen:
        thread.join(30)
        assert not thread.is_alive()
