"""The routes: a page, an interface for programs, and how the server is doing.

No route takes a path or a name. What a request brings lies in a folder that nobody else
may enter, and is removed before its answer is sent.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from vit_dementia import DISCLAIMER, __version__
from vit_dementia.data.private import private_folder
from vit_dementia.files import disk_fault
from vit_dementia.limits import ServingLimits
from vit_dementia.serving.desk import BusyError, Desk
from vit_dementia.serving.gate import Gate, Rules
from vit_dementia.serving.measured import CONTENT_TYPE, Counted, Measured
from vit_dementia.serving.page import assets
from vit_dementia.serving.schema import (
    BODY,
    CASES_RESPONSES,
    RESPONSES,
    VIEW_RESPONSES,
)
from vit_dementia.serving.work import NO_CASES, VIEW, Job, Question, Reply, refusal

_RETRY_AFTER = "5"  # seconds; most answers take less
_COPY = 1024**2  # bytes
_WORDS = {
    400: "no form with files was found; needs multipart/form-data with files",
    404: "nothing is here; see /openapi.json",
    405: "this is asked in another way; see /openapi.json",
    408: "the request took too long to arrive",
    413: "too large; needs less at once",
    507: "the disk of this machine takes no more; ask again when it has room",
}


@runtime_checkable
class Answerer(Protocol):
    """What answers jobs: a process of its own, or a stand-in within a test."""

    facts: dict[str, Any]

    def start(self) -> None:
        """Get ready."""

    def stop(self) -> None:
        """End, whatever is going on."""

    def __call__(self, jobs: Sequence[Job]) -> list[Reply]:
        """Answer jobs in their order."""
        ...


SamePerson = Annotated[
    bool, Query(description="Whether all scans are of one person: one answer for all.")
]
Scan = Annotated[int, Query(ge=1, le=1_000_000, description="Which one, from 1.")]


def make_app(worker: Answerer, rules: Rules, limits: ServingLimits) -> FastAPI:
    """Return the server's application; its lifespan starts and ends the worker."""
    measured = Measured()
    desk = Desk(worker, limits.places, measured.batch)
    root: list[Path] = []  # the private folder, while the server runs

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with private_folder() as folder:
            root.append(folder)
            try:
                await asyncio.to_thread(worker.start)
                desk.open()
                yield
            finally:
                worker.stop()
                await desk.close()
                root.pop()

    async def asked(
        request: Request,
        question: Question,
        *,
        same_person: bool = False,
        scan: int = 1,
    ) -> Response:
        async with desk.place():
            folder = Path(tempfile.mkdtemp(dir=root[0]))
            try:
                async with asyncio.timeout(limits.upload_seconds):
                    await _receive(request, folder, limits)
                job = Job(
                    question=question,
                    folder=folder,
                    same_person=same_person,
                    scan=scan,
                )
                reply = await _while_connected(request, desk, job)
                return _response(reply, folder)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    app = FastAPI(
        title="ViT-Dementia",
        version=__version__,
        description=DISCLAIMER,
        docs_url=None,  # its page would come from another server
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Gate, rules=rules)
    app.add_middleware(Counted, measured=measured)
    _tell_faults(app)

    @app.post("/v1/predict", responses=RESPONSES, openapi_extra=BODY)
    async def predict(request: Request, same_person: SamePerson = False) -> Response:
        """Say what the model sees on scans: pictures, NIfTI, DICOM, zips of these."""
        return await asked(request, "predict", same_person=same_person)

    @app.post("/v1/view", responses=VIEW_RESPONSES, openapi_extra=BODY)
    async def view(request: Request, scan: Scan = 1) -> Response:
        """Return a scan as the model reads it: PNG, or NIfTI of a volume."""
        return await asked(request, "view", scan=scan)

    @app.post("/v1/explain", responses=RESPONSES, openapi_extra=BODY)
    async def explain(request: Request, scan: Scan = 1) -> Response:
        """Return a map of what the answer for a scan hangs on."""
        return await asked(request, "explain", scan=scan)

    @app.post("/v1/cases", responses=CASES_RESPONSES, openapi_extra=BODY)
    async def cases(request: Request, scan: Scan = 1) -> Response:
        """Return the training participants most like a scan, where they are offered."""
        if not worker.facts.get("cases"):
            return JSONResponse(refusal(404, NO_CASES).body, 404)
        return await asked(request, "cases", scan=scan)

    @app.get("/v1/model")
    async def model() -> dict[str, Any]:
        """Return what is known of the model: classes, calibration, evaluation."""
        return worker.facts

    _tell_state(app, desk, measured, limits)
    for path, asset in assets().items():
        _add_page(app, path, asset.content, asset.media_type)
    return app


def _tell_state(
    app: FastAPI, desk: Desk, measured: Measured, limits: ServingLimits
) -> None:
    """Say to whoever watches the server how it is doing."""

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the server runs."""
        return {"status": "ok"}

    @app.get("/ready", responses={503: {"description": "Every place is taken."}})
    async def ready() -> dict[str, int]:
        """Say how many places are free; 503 if none is."""
        if desk.taken >= limits.places:
            raise BusyError
        return {"free_places": limits.places - desk.taken}

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Return counters for Prometheus."""
        return Response(measured.text(desk.taken), media_type=CONTENT_TYPE)


def _add_page(app: FastAPI, path: str, content: bytes, media_type: str) -> None:
    async def page() -> Response:
        return Response(content, media_type=media_type)

    app.add_api_route(path, page, methods=["GET", "HEAD"], include_in_schema=False)


def _tell_faults(app: FastAPI) -> None:
    """Give every fault one form, in words of ours: what was sent is not repeated."""

    async def by_status(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = _WORDS.get(error.status_code, "the request is not understood")
        return JSONResponse(
            refusal(error.status_code, words).body, error.status_code, error.headers
        )

    async def unprocessable(_request: Request, _error: Exception) -> Response:
        words = "same_person: needs true or false; scan: a number from 1"
        return JSONResponse(refusal(422, words).body, 422)

    async def busy(_request: Request, _error: Exception) -> Response:
        words = f"no place is free now; ask again in {_RETRY_AFTER} seconds"
        return JSONResponse(
            refusal(503, words).body, 503, {"Retry-After": _RETRY_AFTER}
        )

    async def too_slow(_request: Request, _error: Exception) -> Response:
        return JSONResponse(refusal(408, _WORDS[408]).body, 408)

    async def no_room(_request: Request, error: Exception) -> Response:
        # The name of the file is ours; what it says of this machine is nobody's matter.
        if not isinstance(error, OSError) or disk_fault(error) is None:
            raise error
        return JSONResponse(refusal(507, _WORDS[507]).body, 507)

    app.add_exception_handler(OSError, no_room)
    app.add_exception_handler(HTTPException, by_status)
    app.add_exception_handler(RequestValidationError, unprocessable)
    app.add_exception_handler(BusyError, busy)
    app.add_exception_handler(TimeoutError, too_slow)


async def _receive(request: Request, folder: Path, limits: ServingLimits) -> None:
    """Write the files of a form into a folder, under numbers.

    Raises:
        HTTPException: if there is no form, or it holds something else.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise HTTPException(400)
    async with request.form(max_files=limits.files, max_fields=0) as form:
        files = [value for _, value in form.multi_items()]
        if not files or not all(isinstance(one, UploadFile) for one in files):
            raise HTTPException(400)
        for number, one in enumerate(files, 1):
            assert isinstance(one, UploadFile)
            target = folder / f"{number:05}"
            await asyncio.to_thread(_copy, one, target)


def _copy(upload: UploadFile, target: Path) -> None:
    with target.open("xb") as file:
        shutil.copyfileobj(upload.file, file, _COPY)


async def _while_connected(request: Request, desk: Desk, job: Job) -> Reply | None:
    """Wait for the reply as long as somebody waits for us; None: nobody does."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    reply, leaving = asyncio.create_task(desk.ask(job)), asyncio.create_task(gone())
    try:
        await asyncio.wait({reply, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return reply.result() if reply.done() else None
    finally:
        reply.cancel()
        leaving.cancel()
        await asyncio.gather(reply, leaving, return_exceptions=True)


def _response(reply: Reply | None, folder: Path) -> Response:
    if reply is None:
        return Response(status_code=408)  # nobody reads it
    if not reply.has_view:
        return JSONResponse(reply.body, reply.status)
    content = (folder / VIEW).read_bytes()
    return Response(content, reply.status, media_type=reply.body["media_type"])
