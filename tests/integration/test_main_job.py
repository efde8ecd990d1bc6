"""Train, evaluate and predict: every verb end to end, as a process of its own."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from vit_dementia.data.cohort import Cohort
from vit_dementia.inference.model_folder import read_model_folder
from vit_dementia.inference.predictor import Predictor
from vit_dementia.training.run_folder import RunFolder

from .conftest import CLASSES, TINY, paint_cohort


@pytest.mark.usefixtures("unabridged")
def test_train_evaluate_and_predict_leave_what_the_design_promises(
    cohort_folder, command, tmp_path
) -> None:
    out = tmp_path / "run"
    command("train", cohort_folder, *TINY, "--epochs=3", "--out", out)
    for name in (
        "config.toml",
        "cohort.tsv",
        "split.json",
        "environment.json",
        "history.jsonl",
        "history.pkl",
        "loss_curves.png",
        "log.txt",
        "model/model.safetensors",
        "model/config.json",
        "model/preprocessing.json",
        "model/README.md",
    ):
        assert (out / name).is_file(), name
    assert len((out / "history.jsonl").read_text().splitlines()) == 3

    told = command("evaluate", out, "--json")
    metrics = json.loads(told.stdout)
    assert json.loads((out / "evaluation/test/metrics.json").read_text()) == metrics
    for name in ("predictions.tsv", "predictions_participants.tsv", "report.html"):
        assert (out / "evaluation/test" / name).is_file()
    assert len(list((out / "evaluation/test/figures").glob("*.png"))) >= 3
    assert "Research use only" in told.stderr

    scan = next((cohort_folder / CLASSES[0]).iterdir())
    document = json.loads(command("predict", out, scan, "--json").stdout)
    assert set(document) == {
        "format", "model", "results", "participants", "disclaimer"
    }  # fmt: skip
    (result,) = document["results"]
    assert math.isclose(sum(result["probabilities"].values()), 1.0)


def test_scores_are_those_of_scikit_learn_on_the_written_predictions(
    cohort_folder, command, tmp_path
) -> None:
    out = tmp_path / "run"
    command(
        "train", cohort_folder, *TINY, "--epochs=1", "--data.test=0.5", "--out", out
    )
    metrics = json.loads(command("evaluate", out, "--json").stdout)
    table = pd.read_csv(out / "evaluation/test/predictions_participants.tsv", sep="\t")
    expected = roc_auc_score(table.label != CLASSES[0], 1 - table[f"p_{CLASSES[0]}"])
    assert metrics["by_participant"]["scores"]["auroc"]["value"] == pytest.approx(
        expected
    )
    assert metrics["by_participant"]["n_participants"] == len(table) == 6


@pytest.mark.slow
def test_a_network_learns_eight_people_by_heart(tmp_path, command) -> None:
    data = paint_cohort(tmp_path / "data", people=8)
    out = tmp_path / "run"
    command(
        "train", data, *TINY, "--epochs=30", "--learning-rate=1e-2", "--no-augment",
        "--data.val=0", "--data.test=0", "--out", out,
    )  # fmt: skip
    last = json.loads((out / "history.jsonl").read_text().splitlines()[-1])
    assert last["train_accuracy"] == 1.0
    assert last["train_loss"] < 0.1


def test_three_doors_give_one_answer(cohort_folder, command, tmp_path) -> None:
    out = tmp_path / "run"
    command("train", cohort_folder, *TINY, "--epochs=1", "--out", out)
    command("evaluate", out)
    table = pd.read_csv(out / "evaluation/test/predictions.tsv", sep="\t")
    files = [cohort_folder / path for path in table.path]
    names = [f"p_{name}" for name in CLASSES]

    shell = json.loads(command("predict", out, *files, "--json").stdout)
    by_shell = [[r["probabilities"][c] for c in CLASSES] for r in shell["results"]]
    by_python = Predictor.load(out / "model")(files).predictions.probabilities
    np.testing.assert_allclose(by_shell, table[names], rtol=0, atol=1e-6)
    np.testing.assert_allclose(by_python, table[names], rtol=0, atol=1e-6)


def test_the_tensor_at_training_is_the_tensor_at_prediction(
    cohort_folder, command, tmp_path
) -> None:
    from vit_dementia.data.images import read_slice
    from vit_dementia.preparation.pack import pack_scans

    out = tmp_path / "run"
    command("train", cohort_folder, *TINY, "--epochs=0", "--out", out)
    preprocessing = read_model_folder(out).preprocessing
    cohort, images = pack_scans(
        Cohort.from_path(cohort_folder), preprocessing, cache=tmp_path / "cache"
    )
    trained_on = preprocessing.normalize(torch.from_numpy(np.array(images)))
    predicted_on = torch.stack(
        [
            preprocessing.normalize(
                torch.from_numpy(preprocessing(read_slice(file)))[None]
            )[0]
            for file in cohort.files()
        ]
    )
    assert torch.equal(trained_on, predicted_on)


def test_fine_tuning_starts_from_the_weights_of_a_run(
    cohort_folder, command, tmp_path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    command("train", cohort_folder, *TINY, "--epochs=1", "--out", first)
    command(
        "train", cohort_folder, "--init", first, "--epochs=1", "--freeze=backbone",
        "--device=cpu", "--out", second,
    )  # fmt: skip
    before = read_model_folder(first).network.state_dict()
    after = read_model_folder(second).network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.weight", "head.bias"}


@pytest.mark.slow
def test_a_low_rank_change_is_merged_into_what_is_written(
    cohort_folder, command, tmp_path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    command("train", cohort_folder, *TINY, "--epochs=1", "--out", first)
    command(
        "train", cohort_folder, "--init", first, "--epochs=2", "--lora-rank=2",
        "--data.val=0", "--learning-rate=0.01", "--device=cpu", "--out", second,
    )  # fmt: skip
    before = read_model_folder(first).network.state_dict()
    after = read_model_folder(second).network.state_dict()
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    qkv = [f"blocks.{i}.attn.qkv.weight" for i in range(2)]
    assert changed == {*qkv, "head.weight", "head.bias"}
    for name in qkv:
        old, new = before[name].chunk(3), after[name].chunk(3)
        same = [torch.equal(a, b) for a, b in zip(old, new, strict=True)]
        assert same == [False, True, False]
    command("evaluate", second)
    metrics = json.loads((second / "evaluation/test/metrics.json").read_text())
    assert metrics["by_participant"]["n_participants"] > 0
    command("convert", second, tmp_path / "timm", "--format=timm")

    newest = sorted((second / "checkpoints").glob("step-*"))[-2:]
    for file in newest:  # as if the second epoch had been interrupted
        file.unlink()
    shutil.rmtree(second / "model")
    command("train", "--resume", second)
    again = read_model_folder(second).network.state_dict()
    assert all(torch.equal(again[name], after[name]) for name in after)


@pytest.mark.slow
def test_cross_validation_scores_everybody_once_and_resumes_to_the_same(
    cohort_folder, command, tmp_path
) -> None:
    out = tmp_path / "cv"
    arguments = ("cross-validate", cohort_folder, *TINY, "--epochs=1", "--folds=3")
    whole = json.loads(command(*arguments, "--out", out, "--json").stdout)
    table = pd.read_csv(
        out / "evaluation/out-of-fold/predictions_participants.tsv", sep="\t"
    )
    assert sorted(table.participant_id) == [f"sub-{n:03}" for n in range(12)]
    split = json.loads((out / "split.json").read_text())
    for number, fold in enumerate(split["folds"]):
        run = RunFolder(out / "folds" / str(number))
        assert run.config.fold == number
        assert not set(fold["test"]) & set(fold["train"] + fold["val"])

    scan = next((cohort_folder / CLASSES[1]).iterdir())
    together = json.loads(command("predict", out, scan, "--json").stdout)
    alone = [
        json.loads(command("predict", out / "folds" / n, scan, "--json").stdout)
        for n in "012"
    ]
    (told,) = together["results"]
    for name, probability in told["probabilities"].items():
        expected = [one["results"][0]["probabilities"][name] for one in alone]
        assert probability == pytest.approx(sum(expected) / 3)
    assert together["model"]["members"] == [one["model"]["sha256"] for one in alone]
    assert together["model"]["calibration"]["sets"]["n_participants"] == 12
    assert told["observed"]["n_participants"] == 12  # one bin, of everybody left out
    crossed = (out / "crossed.json").read_bytes()
    assert b"sub-0" not in crossed
    assert told["early"] in {"yes", "no", "not sure"}

    shutil.rmtree(out / "folds" / "2")
    shutil.rmtree(out / "evaluation")
    (out / "crossed.json").unlink()
    assert "--resume" in command("predict", out, scan, check=2).stderr
    again = json.loads(command("cross-validate", "--resume", out, "--json").stdout)
    assert again == whole
    assert (out / "crossed.json").read_bytes() == crossed


@pytest.mark.slow
def test_each_fold_keeps_the_recipe_that_its_validation_part_prefers(
    cohort_folder, command, tmp_path
) -> None:
    (tmp_path / "still.toml").write_text("[train]\nlearning_rate = 1e-9\nepochs = 1\n")
    (tmp_path / "moving.toml").write_text("[data]\nimage_size = [48, 32]\n")
    arguments = ["cross-validate", cohort_folder, *TINY, "--folds=2", "--out=cv"]
    arguments += ["--recipes", "still.toml", "moving.toml", "--epochs=2"]
    metrics = json.loads(command(*arguments, "--json").stdout)
    assert metrics["choice"]["recipes"] == ["still", "moving"]
    assert any("had no say" in note for note in metrics["notes"])
    for fold, told in metrics["choice"]["by_fold"].items():
        chosen = told["chosen"]
        scores = {n: v["balanced_accuracy"] for n, v in told["validation"].items()}
        assert scores[chosen] == max(scores.values())
        run = RunFolder(tmp_path / "cv" / "folds" / fold)
        assert run.config.train.epochs == 2  # flags go before recipes
        size = (48, 32) if chosen == "moving" else None
        assert run.config.data.image_size == size
    scan = next((cohort_folder / CLASSES[1]).iterdir())
    command("predict", "cv", scan)
    shutil.rmtree(tmp_path / "cv" / "evaluation")
    again = json.loads(command("cross-validate", "--resume", "cv", "--json").stdout)
    assert again == metrics
    wrong = ("cross-validate", cohort_folder, *TINY, "--recipes", "tiny")
    assert "two or more" in command(*wrong, check=2).stderr
    assert "--recipe" in command(*wrong, "--recipe=tiny", check=2).stderr
    assert "rename one" in command(*wrong, "a/tiny.toml", "tiny", check=2).stderr


def test_a_split_file_is_followed_and_a_foreign_one_refused(
    cohort_folder, command, tmp_path
) -> None:
    split = tmp_path / "split.json"
    command("split", cohort_folder, "--folds=3", "--out", split, "--seed=5")
    folds = json.loads(split.read_text())["folds"]
    out = tmp_path / "run"
    command(
        "train", cohort_folder, *TINY, "--epochs=0", "--split", split, "--fold=2",
        "--out", out,
    )  # fmt: skip
    command("evaluate", out)
    table = pd.read_csv(out / "evaluation/test/predictions.tsv", sep="\t")
    assert set(table.participant_id) == set(folds[2]["test"])

    other = paint_cohort(tmp_path / "other", people=10)
    refused = command("train", other, *TINY, "--split", split, check=2)
    assert "another cohort" in refused.stderr


def test_a_leak_stops_training_unless_it_is_named_and_is_repeated_ever_after(
    tmp_path, command
) -> None:
    data = paint_cohort(tmp_path / "data", people=12, parts=("train", "test"))
    moved = data / "train" / CLASSES[0] / "sub-000_slice-0.png"
    moved.rename(data / "test" / CLASSES[0] / moved.name)
    out = tmp_path / "run"
    refused = command("train", data, *TINY, "--epochs=1", "--out", out, check=3)
    assert "sub-000" in refused.stderr
    assert not out.exists()

    command(
        "train", data, *TINY, "--epochs=1", "--out", out, "--allow-leakage", "to see it"
    )
    told = command("evaluate", out)
    assert "to see it" in told.stderr
    assert "to see it" in (out / "evaluation/test/report.html").read_text()
    scan = next((data / "test" / CLASSES[0]).iterdir())
    others = paint_cohort(tmp_path / "others")
    for file in others.rglob("*.png"):
        file.rename(file.with_name(file.name.replace("sub-0", "sub-1")))
    for later in (
        ("predict", out, scan),
        ("explain", out, scan, "--method=attention", "--out=maps"),
        ("export", out, "exported", "--format=native"),
        ("convert", out, "converted", "--format=native"),
        ("compare", out, out / "evaluation/test/predictions.tsv", "--out=compared"),
        ("train", others, "--init", out, "--epochs=0", "--device=cpu", "--out=second"),
    ):
        assert "to see it" in command(*later).stderr, later[0]


def test_history_pickle_is_read_by_the_historical_recipe(
    cohort_folder, command, tmp_path
) -> None:
    out = tmp_path / "run"
    command("train", cohort_folder, *TINY, "--epochs=2", "--out", out)
    with (out / "history.pkl").open("rb") as file:
        results = pd.read_pickle(file)
    assert set(results) == {"train_loss", "train_acc", "test_loss", "test_acc"}
    assert {len(curve) for curve in results.values()} == {2}
    assert all(type(value) is float for curve in results.values() for value in curve)


def test_the_cache_is_private_holds_no_names_and_is_cleared(
    cohort_folder, command, tmp_path
) -> None:
    cache = tmp_path / "decoded"
    command("train", cohort_folder, *TINY, "--epochs=0", "--cache", cache, "--out=r")
    assert cache.stat().st_mode & 0o777 == 0o700
    listed = command("cache", "list", "--cache", cache).stdout
    assert listed.split("\t")[1] == "24"
    assert b"sub-" not in b"".join(file.read_bytes() for file in cache.iterdir())
    command("cache", "clear", "--cache", cache)
    assert not list(cache.iterdir())


def test_a_recipe_lies_between_the_defaults_and_the_command_line(
    cohort_folder, command, tmp_path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[train]\nepochs = 0\nbatch_size = 3\n[vit]\ndepth = 1\n")
    command(
        "train", cohort_folder, *TINY, "--recipe", recipe, "--batch-size=5", "--out=r"
    )
    config = RunFolder(tmp_path / "r").config
    assert (config.train.epochs, config.train.batch_size, config.vit.depth) == (0, 5, 2)

    recipe.write_text("[train]\nepoch = 1\n")
    refused = command("train", cohort_folder, "--recipe", recipe, check=2)
    assert "did you mean train.epochs" in refused.stderr


def test_predict_pools_by_the_participants_of_a_table(
    cohort_folder, command, tmp_path
) -> None:
    command("train", cohort_folder, *TINY, "--epochs=0", "--out=run")
    scans = tmp_path / "scans" / "a"
    scans.mkdir(parents=True)
    for number, file in enumerate(sorted((cohort_folder / CLASSES[0]).iterdir())[:3]):
        shutil.copy(file, scans / f"{number}.png")
    table = tmp_path / "who.csv"
    table.write_text("path,subject\na/0.png,p1\na/1.png,p1\na/2.png,p2\n")
    document = json.loads(
        command(
            "predict", "run", scans, "--participants", table,
            "--columns=participant_id=subject", "--json",
        ).stdout
    )  # fmt: skip
    pooled = {one["participant_id"]: one for one in document["participants"]}
    assert {who: one["num_scans"] for who, one in pooled.items()} == {"p1": 2, "p2": 1}
    of_p1 = [r["probabilities"] for r in document["results"][:2]]
    for name in CLASSES:
        mean = (of_p1[0][name] + of_p1[1][name]) / 2
        assert pooled["p1"]["probabilities"][name] == pytest.approx(mean)
