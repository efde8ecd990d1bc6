from __future__ import annotations

import json
from importlib import resources

import jsonschema
import pytest
from tests.unit.workflows.checks import made_check

from vit_dementia.workflows.check_record import LeakCounts


@pytest.fixture
def schema() -> dict:
    file = resources.files("vit_dementia.workflows").joinpath("check.schema.json")
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"leaks": None, "price": None, "shortcuts": (), "participants": None},
        {"leaks": LeakCounts(None, None, 16, 0, None)},
    ],
)
def test_the_document_is_what_the_schema_says(schema, changes) -> None:
    document = json.loads(json.dumps(made_check(**changes).document()))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)


def test_the_schema_refuses_other_documents(schema) -> None:
    for name, value in (("images", 1.5), ("verdict", "fine"), ("leaks", {})):
        document = {**made_check().document(), name: value}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, schema)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "leak"),
        ({"participants": None}, "leak"),  # a leak outranks what cannot be told
        ({"leaks": LeakCounts(0, 0, 16, 0, 0)}, "clean"),
        ({"leaks": LeakCounts(0, 0, 16, 1, 0)}, "leak"),
        ({"leaks": None}, "clean"),
        ({"leaks": None, "participants": None}, "cannot tell"),
        (
            {"leaks": LeakCounts(None, None, 16, 0, None), "participants": None},
            "cannot tell",
        ),
    ],
)
def test_a_leak_outranks_doubt_and_doubt_outranks_clean(changes, verdict) -> None:
    assert made_check(**changes).verdict == verdict
