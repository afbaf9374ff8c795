"""Work spread over threads."""

import threading

import pytest

from harness.parallel import ahead


def test_results_come_in_order():
    assert list(ahead(lambda n: n * n, range(50), threads=3)) == [n * n for n in range(50)]


def test_only_a_few_results_wait():
    started = []
    results = ahead(started.append, range(100), threads=2)
    for _ in range(10):
        next(results)
    assert len(started) <= 10 + 2
    results.close()


def test_an_error_is_raised_where_its_result_is_due():
    results = ahead(lambda n: 1 // n, [1, 1, 0, 1], threads=2)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_leaving_the_loop_ends_the_threads():
    results = ahead(lambda n: n, range(100), threads=2)
    next(results)
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("ahead")]
