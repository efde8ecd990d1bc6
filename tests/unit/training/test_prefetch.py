from __future__ import annotations

import threading
import time

import pytest
import torch

from vit_dementia.training.prefetch import fetched

CPU = torch.device("cpu")


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
def test_the_same_batches_come_in_the_same_order(ahead) -> None:
    found = list(fetched(iter(range(5)), ahead=ahead, device=CPU))
    assert found == [0, 1, 2, 3, 4]


def test_the_next_ones_are_made_while_one_is_used() -> None:
    made = []

    def batches():
        for number in range(5):
            made.append((number, threading.current_thread()))
            yield number

    coming = fetched(batches(), ahead=2, device=CPU)
    assert next(coming) == 0
    deadline = time.monotonic() + 30
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert [number for number, _ in made] == [0, 1, 2]  # and no more than that
    assert threading.current_thread() not in [thread for _, thread in made]
    coming.close()  # a run that is stopped waits for none of them


def test_what_goes_wrong_in_the_thread_is_raised_where_the_batch_is_wanted() -> None:
    def batches():
        yield 0
        raise OSError("the disk is gone")

    coming = fetched(batches(), ahead=1, device=CPU)
    assert next(coming) == 0
    with pytest.raises(OSError, match="the disk is gone"):
        next(coming)
