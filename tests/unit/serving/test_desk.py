"""The queue: one worker, no order jumped, predictions together."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.serving import served

from vit_dementia.errors import CheckpointError
from vit_dementia.serving.desk import BusyError, Desk
from vit_dementia.serving.work import Job, Reply


def job(question, number=0) -> Job:
    return Job(question=question, folder=Path(str(number)))


def test_predictions_that_wait_are_done_together_and_others_alone() -> None:
    batches = []

    def answer(jobs):
        batches.append([one.question for one in jobs])
        return [Reply(status=200, body={"of": str(one.folder)}) for one in jobs]

    async def main() -> list[Reply]:
        desk = Desk(answer, places=9)
        kinds = ("view", "predict", "explain", "predict", "predict")
        asked = [asyncio.create_task(desk.ask(job(k, n))) for n, k in enumerate(kinds)]
        await asyncio.sleep(0)
        desk.open()
        replies = await asyncio.gather(*asked)
        await desk.close()
        return replies

    replies = asyncio.run(main())
    assert batches == [["view"], ["predict"] * 3, ["explain"]]
    assert [reply.body["of"] for reply in replies] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_job_whose_sender_is_gone_is_not_done(left) -> None:
    done: list[str] = []

    def answer(jobs):
        done.extend(str(one.folder) for one in jobs)
        return served.nothing(jobs)

    async def main() -> None:
        desk = Desk(answer, places=9)
        asked = [asyncio.create_task(desk.ask(job("predict", n))) for n in range(3)]
        await asyncio.sleep(0)
        asked[left].cancel()
        await asyncio.gather(asked[left], return_exceptions=True)
        desk.open()
        await asyncio.gather(*asked, return_exceptions=True)
        await desk.close()

    asyncio.run(main())
    assert done == [str(number) for number in range(3) if number != left]


def test_a_worker_that_cannot_start_fails_its_jobs_and_not_the_next() -> None:
    def answer(jobs):
        if str(jobs[0].folder) == "0":
            raise CheckpointError("gone")
        return served.nothing(jobs)

    async def main() -> None:
        desk = Desk(answer, places=9)
        desk.open()
        with pytest.raises(BusyError):
            await desk.ask(job("view", 0))
        assert (await desk.ask(job("view", 1))).status == 200
        await desk.close()

    asyncio.run(main())


def test_jobs_that_wait_at_the_end_are_given_up() -> None:
    async def main() -> None:
        desk = Desk(served.nothing, places=9)  # never opened
        waiting = asyncio.create_task(desk.ask(job("predict")))
        await asyncio.sleep(0)
        await desk.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


def test_places_are_few_and_come_back() -> None:
    async def main() -> None:
        desk = Desk(served.nothing, places=1)
        async with desk.place():
            with pytest.raises(BusyError):
                async with desk.place():
                    pass
        async with desk.place():
            assert desk.taken == 1

    asyncio.run(main())
