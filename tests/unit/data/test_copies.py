from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vit_dementia.data.copies import same_bytes


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.lists(
        st.builds(
            lambda a, b: bytes([a]) + bytes([b]) * 6000, *[st.integers(0, 2)] * 2
        ),
        max_size=8,
    )
)
def test_groups_are_those_of_comparing_everything(tmp_path, contents) -> None:
    files = [tmp_path / str(number) for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    expected = {
        tuple(i for i, other in enumerate(contents) if other == content)
        for content in contents
    }
    assert same_bytes(files) == sorted(list(g) for g in expected if len(g) > 1)


def test_empty_missing_and_strange_files_are_nobodys_copies(tmp_path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    (tmp_path / "c").mkdir()
    files = [tmp_path / name for name in "abcde"]
    assert same_bytes(files) == []
