"""Every row about tables in the catalog of bad inputs, by its name."""

from __future__ import annotations

import json

import pytest
from tests.integration.conftest import CLASSES, TINY, paint_cohort

pytestmark = pytest.mark.torture
HEALTHY, ILL = CLASSES
HEADER = ("path", "label", "participant_id")


@pytest.fixture
def rows(tmp_path):
    """Return the rows of a table of a good folder, as lists of cells."""
    data = paint_cohort(tmp_path / "data", people=24)
    files = sorted(data.rglob("*.png"))
    return [
        [str(path.relative_to(data)), path.parent.name, path.name[:7]] for path in files
    ]


def text_of(rows, *, separator=",", header=HEADER, end="\n") -> str:
    lines = [separator.join(cells) for cells in [header, *rows]]
    return end.join(lines) + end


def train(command, tmp_path, content: bytes, *, check: int, name="table.csv"):
    (tmp_path / "data" / name).write_bytes(content)
    table = tmp_path / "data" / name
    return command("train", table, *TINY, "--epochs=0", "--out=run", check=check)


def changed(rows, column: int, value: str):
    """Return the rows with another cell in the third of them, line 4 of the file."""
    copy = [list(cells) for cells in rows]
    copy[2][column] = value
    return copy


def whole(rows, column: int, value: str) -> bytes:
    return text_of(changed(rows, column, value)).encode()


# Row of the catalog: the content, and what the refusal says.
REFUSED = {
    "tab-semicolon": (lambda r: text_of(r, separator=";").encode(), "semicolons"),
    "tab-latin1": (
        lambda r: text_of(changed(r, 2, "caf\xe9")).encode("latin-1"),
        "line 4",
    ),
    "tab-no-header": (lambda r: text_of(r[1:], header=r[0]).encode(), "no column"),
    "tab-double-header": (lambda r: text_of([r[0], HEADER, *r[1:]]).encode(), "line 3"),
    "tab-double-column": (
        lambda r: text_of(r, header=("path", "label", "label")).encode(),
        "stands twice",
    ),
    "tab-ragged": (lambda r: text_of([*r[:2], r[2][:2], *r[3:]]).encode(), "line 4"),
    "tab-nul": (lambda r: whole(r, 2, "a\0b"), "line 4"),
    "tab-huge-field": (lambda r: whole(r, 2, "x" * 200_000), "line 4"),
    "tab-binary": (lambda _: b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "table.csv"),
    "tab-empty": (lambda _: b"", "is empty"),
    "tab-conflict": (
        lambda r: text_of([*r, [r[0][0], ILL, r[0][2]]]).encode(),
        "line 50",
    ),
    "tab-climbs": (lambda r: whole(r, 0, "../../x.png"), "line 4"),
    "tab-absolute": (lambda r: whole(r, 0, "/etc/passwd"), "line 4"),
    "tab-formula-label": (lambda r: whole(r, 1, "=1+1"), "line 4"),
    "tab-formula-who": (lambda r: whole(r, 2, "=1+1"), "line 4"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_a_table_that_is_unclear_is_refused_with_its_line(
    command, tmp_path, rows, row
) -> None:
    content, said = REFUSED[row]
    done = train(command, tmp_path, content(rows), check=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("row", REFUSED)
def test_check_and_the_table_of_participants_refuse_it_alike(
    command, tmp_path, rows, row
) -> None:
    content, _ = REFUSED[row]
    table = tmp_path / "data" / "table.csv"
    table.write_bytes(content(rows))
    command("check", table, "--out=found", check=2)
    if row in {"tab-conflict", "tab-formula-label"}:
        return  # labels are the folders' there
    command("split", tmp_path / "data", "--participants", table, check=2)


@pytest.mark.parametrize("row", ["tab-bom-crlf", "tab-tabs", "tab-extra-columns"])
def test_what_spreadsheets_write_is_read(command, tmp_path, rows, row) -> None:
    content, name = text_of(rows).encode(), "table.csv"
    if row == "tab-bom-crlf":
        content = text_of(rows, end="\r\n").encode("utf-8-sig")
    elif row == "tab-tabs":
        content, name = text_of(rows, separator="\t").encode(), "table.tsv"
    else:
        more = [[*cells, "remark"] for cells in rows]
        content = text_of(more, header=(*HEADER, "remark")).encode()
    done = train(command, tmp_path, content, check=0, name=name)
    assert "48 scans, 24 participants" in done.stderr


@pytest.mark.parametrize("label", ["", "nan", "n/a", "unknown"])
def test_a_row_without_a_label_is_left_out_and_counted(
    command, tmp_path, rows, label
) -> None:
    content = text_of(changed(rows, 1, label)).encode()
    done = train(command, tmp_path, content, check=0)
    assert "1 scans have no label and were left out" in done.stderr


def test_a_label_among_given_classes_that_is_none_of_them_is_refused(
    command, tmp_path, rows
) -> None:
    table = tmp_path / "data" / "table.csv"
    table.write_text(text_of(changed(rows, 1, "MildlyDemented")))
    flags = (*TINY, "--epochs=0", "--out=run", "--classes", f"{HEALTHY},{ILL}")
    done = command("train", table, *flags, check=2)
    assert f"did you mean {ILL!r}" in done.stderr


def test_a_file_that_is_not_there_is_left_out_and_listed(
    command, tmp_path, rows
) -> None:
    content = text_of(changed(rows, 0, f"{HEALTHY}/gone.png")).encode()
    assert "gone.png" in train(command, tmp_path, content, check=0).stderr


def test_a_script_in_a_cell_reaches_no_report(command, tmp_path, rows) -> None:
    script = "<script>alert(1)</script>"
    named = [[*cells, script] for cells in rows]
    content = text_of(named, header=(*HEADER, "site")).encode()
    train(command, tmp_path, content, check=0)
    command("evaluate", "run")
    page = tmp_path / "run" / "evaluation" / "test" / "report.html"
    assert "<script>alert" not in page.read_text("utf-8")
    command("check", tmp_path / "data" / "table.csv", "--out=found")
    for page in (tmp_path / "found").glob("*.html"):
        assert "<script>alert" not in page.read_text("utf-8")


def test_a_subject_in_both_parts_is_a_leak(command, tmp_path, rows) -> None:
    parts = [[*cells, "train" if n % 4 else "test"] for n, cells in enumerate(rows)]
    content = text_of(parts, header=(*HEADER, "split")).encode()
    assert "sub-" in train(command, tmp_path, content, check=3).stderr
    assert not (tmp_path / "run").exists()


PREDICTIONS = "label\tp_A\tp_B\nA\t0.9\t0.1\nB\t0.4\t0.6\n"
BAD_PREDICTIONS = {
    "tab-pred-nan": PREDICTIONS.replace("0.9", "nan"),
    "tab-pred-sum": PREDICTIONS.replace("0.9", "0.7"),
    "tab-pred-label": PREDICTIONS.replace("\nA\t", "\nC\t"),
    "tab-pred-no-label": PREDICTIONS.replace("label", "truth"),
    "tab-pred-one-class": "label\tp_A\nA\t1\n",
    "tab-pred-empty": "label\tp_A\tp_B\n",
    "tab-pred-nothing": "",
    "tab-pred-ragged": PREDICTIONS + "A\t0.9\t0.1\t7\t8\n",
    "tab-pred-formula": PREDICTIONS.replace("p_A", "p_=1+1").replace("\nA", "\n=1+1"),
}


@pytest.mark.parametrize("row", BAD_PREDICTIONS)
def test_a_table_of_predictions_that_is_wrong_is_refused(
    command, tmp_path, row
) -> None:
    (tmp_path / "told.tsv").write_text(BAD_PREDICTIONS[row])
    done = command("evaluate", "--predictions", "told.tsv", "--json", check=2)
    assert "told.tsv" in json.loads(done.stdout)["error"]["faults"][0]
