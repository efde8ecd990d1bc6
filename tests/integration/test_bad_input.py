"""Bad input gets its faults told at once, exit 2, and leaves nothing half written."""

from __future__ import annotations

import json
import shutil

import pytest

from .conftest import CLASSES, TINY, paint_cohort


def _train(command, data, *, check: int, extra: tuple[str, ...] = ()):
    return command("train", data, *TINY, "--epochs=1", "--out=run", *extra, check=check)


def test_a_missing_folder_is_named(command, tmp_path) -> None:
    told = _train(command, "nowhere", check=2)
    (line,) = [text for text in told.stderr.splitlines() if "vit-dementia:" in text]
    assert "nowhere" in line
    assert not (tmp_path / "run").exists()


def test_all_faults_of_a_folder_are_told_at_once(command, tmp_path) -> None:
    data = paint_cohort(tmp_path / "data", people=12, parts=("train", "test"))
    (data / "test" / "Unheard").mkdir()
    shutil.copy(
        next((data / "test" / CLASSES[0]).iterdir()), data / "test/Unheard/sub-99.png"
    )
    (data / "train" / "Empty").mkdir()
    told = _train(command, data, check=2)
    assert "Unheard" in told.stderr
    assert "Empty" in told.stderr
    assert not (tmp_path / "run").exists()


def test_one_class_only_is_refused(command, tmp_path) -> None:
    data = paint_cohort(tmp_path / "data")
    shutil.rmtree(data / CLASSES[1])
    assert CLASSES[0] in _train(command, data, check=2).stderr


def test_a_few_unreadable_images_are_skipped_listed_and_trained_without(
    command, tmp_path
) -> None:
    data = paint_cohort(tmp_path / "data", people=24)
    bad = data / CLASSES[0] / "sub-000_slice-0.png"
    bad.write_bytes(bad.read_bytes()[:60])
    told = _train(command, data, check=0)
    assert told.stderr.count(bad.name) == 1
    command("evaluate", "run")


def test_many_unreadable_images_stop_the_run_with_every_one_of_them(
    command, tmp_path
) -> None:
    data = paint_cohort(tmp_path / "data", people=24)
    bad = sorted((data / CLASSES[0]).iterdir())[:4]
    for file in bad:
        file.write_text("no picture")
    told = _train(command, data, check=2)
    assert all(file.name in told.stderr for file in bad)
    assert not (tmp_path / "run").exists()


def test_a_class_that_would_be_lost_stops_the_run(command, tmp_path) -> None:
    data = paint_cohort(tmp_path / "data", people=60, slices=1)
    only = data / "Rare"
    only.mkdir()
    (only / "sub-900_slice-0.png").write_bytes(b"")
    assert "Rare" in _train(command, data, check=2).stderr


def test_an_output_folder_that_is_taken_is_refused_before_any_work(
    command, tmp_path
) -> None:
    data = paint_cohort(tmp_path / "data")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert "--resume" in _train(command, data, check=2).stderr
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (("--epochs=-1",), "train.epochs"),
        (("--train.epoch=1",), "--train.epochs"),
        (("--model=ViT-X/16",), "ViT-"),
        (("--freeze=head",), "N-blocks"),
        (("--fold=3",), "fold"),
        (("--init=no-such-file.pth",), "no-such-file.pth"),
        (("--recipe=unheard-of",), "unheard-of"),
        (("--columns=label",), "A=B"),
        (("--device=tpu",), "device"),
        (("--data.image-size", "30", "30"), "30"),
        (("--split=none.json",), "none.json"),
    ],
)
def test_wrong_settings_are_told_in_one_line(
    cohort_folder, command, tmp_path, extra, words
) -> None:
    given = {flag.partition("=")[0] for flag in extra}
    tiny = [flag for flag in TINY if flag.partition("=")[0] not in given]
    usual = () if "--epochs" in given else ("--epochs=1",)
    told = command("train", cohort_folder, *tiny, *usual, *extra, "--out=run", check=2)
    lines = [line for line in told.stderr.splitlines() if "vit-dementia:" in line]
    assert len(lines) == 1
    assert words in lines[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", [None, "no weights"])
def test_weights_that_cannot_be_used_leave_no_cross_validation(
    cohort_folder, command, tmp_path, text
) -> None:
    if text:
        (tmp_path / "bad.pth").write_text(text)
    told = command(
        "cross-validate", cohort_folder, "--init=bad.pth", "--epochs=1", "--out=cv",
        check=2,
    )  # fmt: skip
    (line,) = [text for text in told.stderr.splitlines() if "vit-dementia:" in text]
    assert "bad.pth" in line
    assert not (tmp_path / "cv").exists()


def test_json_of_a_failure_is_one_document_with_the_faults(command, tmp_path) -> None:
    told = command("evaluate", tmp_path / "none", "--json", check=2)
    document = json.loads(told.stdout)
    assert document["error"]["exit_code"] == 2
    assert "none" in document["error"]["faults"][0]


def test_predict_refuses_bad_scans_and_answers_the_good_ones(
    cohort_folder, command, tmp_path
) -> None:
    command("train", cohort_folder, *TINY, "--epochs=0", "--out=run")
    good = next((cohort_folder / CLASSES[0]).iterdir())
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:50])
    document = json.loads(
        command("predict", "run", good, bad, "--json", "--out=told", check=3).stdout
    )
    answered, refused = document["results"]
    assert answered["probabilities"]
    assert refused["probabilities"] is None
    assert refused["quality"]["verdict"] == "refused"
    assert (tmp_path / "told" / "predictions.tsv").is_file()
    command("predict", "run", bad, check=2)
    assert "missing.png" in command("predict", "run", "missing.png", check=2).stderr
    assert "model.safetensors" in command("predict", tmp_path, good, check=2).stderr


def test_a_flipped_bit_in_the_model_is_found(cohort_folder, command, tmp_path) -> None:
    command("train", cohort_folder, *TINY, "--epochs=0", "--out=run")
    weights = tmp_path / "run" / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 4
    weights.write_bytes(content)
    good = next((cohort_folder / CLASSES[0]).iterdir())
    assert "SHA-256" in command("predict", "run", good, check=2).stderr


def test_no_name_or_path_of_a_participant_leaves_with_the_model(
    cohort_folder, command, tmp_path
) -> None:
    command("train", cohort_folder, *TINY, "--epochs=1", "--out=run")
    command("evaluate", "run")
    carried = [
        *(tmp_path / "run/model").iterdir(),
        *(tmp_path / "run/checkpoints").iterdir(),
    ]
    carried.append(tmp_path / "run/evaluation/test/report.html")
    for file in carried:
        content = file.read_bytes()
        for secret in (b"sub-0", str(tmp_path).encode(), b".png"):
            assert secret not in content.replace(b"image/png", b""), (file, secret)


def test_control_characters_in_names_do_not_reach_the_terminal(
    command, tmp_path
) -> None:
    data = paint_cohort(tmp_path / "data", people=24)
    evil = data / CLASSES[0] / "sub-000_\x1b[31m.png"
    evil.write_text("no picture")
    told = _train(command, data, check=0)
    assert "\x1b" not in told.stderr
    assert "x1b[31m" in told.stderr
