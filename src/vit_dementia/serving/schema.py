"""The parts of the OpenAPI document that FastAPI cannot read from our functions."""

from __future__ import annotations

from typing import Any, Final

_FAULTS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["faults"],
            "properties": {"faults": {"type": "array", "items": {"type": "string"}}},
        }
    },
}
_WHEN: Final = {
    400: "No form with files.",
    401: "No token, or another one, where one is needed.",
    403: "Asked by another web page.",
    408: "The request took too long to arrive.",
    413: "Too large.",
    415: "The body is packed.",
    421: "Asked under another name than this server's.",
    422: "No scan, or one that cannot be used.",
    503: "Every place is taken, or the model has to be loaded again.",
    504: "The answer took too long and was given up.",
    507: "The disk of the machine is full.",
}


def _fault(status: int, when: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "description": when,
        "content": {"application/json": {"schema": _FAULTS}},
    }
    if status == 503:
        seconds = {"description": "Seconds.", "schema": {"type": "integer"}}
        told["headers"] = {"Retry-After": seconds}
    return told


_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    status: _fault(status, when) for status, when in _WHEN.items()
}

BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "additionalProperties": False,
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            }
        },
    }
}
"""of every question: one or more files"""

RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The answer; docs/how-to/serve.md has each field.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    **_REFUSED,
}
CASES_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    **RESPONSES,
    404: _fault(404, "Cases are not offered by this server."),
}
VIEW_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A slice as PNG, a volume as NIfTI.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/png", "application/x-nifti")
        },
    },
    **_REFUSED,
}
