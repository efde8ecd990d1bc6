from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vit_dementia.data.tables import read_table
from vit_dementia.errors import ManifestError
from vit_dementia.limits import Limits


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path) -> None:
    plain, windows = tmp_path / "a.csv", tmp_path / "b.csv"
    plain.write_bytes("path,label\nä.png,CN\n\n".encode())
    windows.write_bytes("\ufeffpath,label\r\nä.png,CN\r\n".encode())
    first, second = read_table(plain), read_table(windows)
    assert first.header == second.header == ("path", "label")
    assert first.rows == second.rows == (("ä.png", "CN"),)
    assert first.column("label") == ["CN"]
    assert second.where(0) == f"{windows}: line 2"


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        (
            "a.csv",
            b"path;label\na.png;CN\n",
            "line 1: columns are separated by semicol",
        ),
        ("a.tsv", b"path,label\na.png,CN\n", "line 1: columns are separated by commas"),
        ("a.csv", b"path\tlabel\n", "line 1: columns are separated by tabs"),
        (
            "a.csv",
            "path,label\n\n\xe4.png,CN\n".encode("latin-1"),
            "line 3: holds the b",
        ),
        (
            "a.csv",
            b"path,label\na.png,CN\nb.png,AD,1\n",
            "line 3: found 3 cells; 2 are",
        ),
        ("a.csv", b"path,label\na.png,C\0N\n", "line 2: holds a NUL byte"),
        ("a.csv", "path,label\n".encode("utf-16"), "line 1: holds a NUL byte"),
        ("a.csv", b"path,label\na.png," + b"x" * 200_000 + b"\n", "line 2: "),
        (
            "a.csv",
            b"path,label\na.png," + b"x" * 20_000 + b"\n",
            "line 2: holds a cell",
        ),
        ("a.csv", b"path,label\npath,label\n", "line 2: repeats the header"),
        ("a.csv", b"path,label,path\n", "column 'path' stands twice"),
        ("a.csv", b"path,,label\n", "line 1: column 2 has no name"),
        ("a.csv", b'path,label\n"a.png,CN\n', "line 2: unexpected end of data"),
        ("a.csv", b"", "is empty"),
        ("a.xlsx", b"PK", r"\.csv or \.tsv is needed"),
    ],
)
def test_what_is_unclear_is_refused_by_line(tmp_path, name, content, cause) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=cause) as caught:
        read_table(path)
    assert all(fault.startswith(str(path)) for fault in caught.value.faults)


def test_every_fault_is_listed_at_once(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("path,label\na\nb,c,d\npath,label\n")
    with pytest.raises(ManifestError) as caught:
        read_table(path)
    assert len(caught.value.faults) == 3


def test_missing_and_too_large_tables_are_refused(tmp_path) -> None:
    with pytest.raises(ManifestError, match="is not a file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_text("path,label\n")
    with pytest.raises(ManifestError, match="larger than the 5 bytes"):
        read_table(tmp_path / "a.csv", limits=Limits(table_bytes=5))


CELLS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=5), suffix=st.sampled_from("ct"))
def test_what_the_csv_module_writes_is_read_back(tmp_path, rows, suffix) -> None:
    text = io.StringIO()
    separator = {"c": ",", "t": "\t"}[suffix]
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("first", "second"), *rows])
    path = tmp_path / f"a.{suffix}sv"
    path.write_bytes(text.getvalue().encode())
    assert list(read_table(path).rows) == rows


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_table_or_refused(tmp_path, content) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    try:
        table = read_table(path)
    except ManifestError:
        return
    assert all(len(row) == len(table.header) for row in table.rows)
