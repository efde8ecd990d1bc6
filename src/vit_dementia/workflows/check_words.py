"""What a check found, in words: the same on the terminal and in the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from vit_dementia.audit.price import Price, Scores
from vit_dementia.audit.shortcuts import Shortcut
from vit_dementia.workflows.check_record import Check, Verdict

VERDICTS: Mapping[Verdict, str] = {
    "leak": "Leak",
    "cannot tell": "Cannot tell",
    "clean": "Clean",
}
_SOURCES = {
    "table": "named by a table",
    "bids": "named by the files (BIDS)",
    "header": "told apart by the headers of DICOM",
    "filename": "named by the files",
    "image-content": "told apart by the images themselves",
    "unknown": "unknown",
}


def headline(check: Check) -> str:
    """Say the verdict and its reason in one sentence."""
    leaks = check.leaks
    if leaks:
        return f"{_leak_reason(check)}; scores on this split measure who was recognized"
    if check.verdict == "cannot tell":
        where = "; nothing else stands on both sides" if leaks is not None else ""
        return f"who is on which scan cannot be told with certainty{where}"
    if leaks is None:
        return "the scans bring no split, and none was given: nothing to leak across"
    return "nobody and nothing in test stands in train"


def _leak_reason(check: Check) -> str:
    leaks = check.leaks
    assert leaks is not None
    all_ = f"{leaks.test_images:,} test images"
    for num, what in (
        (leaks.test_images_with_participant_in_train, "show somebody who is in train"),
        (leaks.test_images_near_duplicate_in_train, "have a copy in train"),
        (leaks.neighbouring_slices, "have the next slice in train"),
    ):
        if num:
            return f"{num:,} of {all_} {what}"
    return f"{leaks.participants_shared:,} participants stand on both sides"


def people(check: Check) -> str:
    """Say how many images there are of how many people, and how that is known.

    The confidence is that of the grouping; none is stated for ids that were given.
    """
    source = _SOURCES[check.participant_source]
    if check.participants is None:
        return f"{check.images:,} images; participants {source}"
    said = f"{check.images:,} images of {check.participants:,} people, {source}"
    if check.grouping.estimated_error is None:
        return said
    error = percent(check.grouping.estimated_error)
    return f"{said} (estimated error {error}; 1 - F1 over pairs of images)"


def how(check: Check) -> str:
    """Say how people were told apart, and how sure that is."""
    grouping = check.grouping
    if grouping.confidence is None or check.participants is None:
        return f"{grouping.method}"
    return f"{grouping.method}; mean confidence {percent(grouping.confidence)}"


def steps(check: Check, data: str) -> list[tuple[str, str]]:
    """Return what to do next: what for, and the command, or nothing to run.

    Args:
        check: what was found.
        data: how the data are named in a command.
    """
    told_now = check.grouping.method is not None
    by_table = told_now or check.participant_source in ("table", "image-content")
    who = " --participants who.tsv" if by_table else ""
    told = []
    if check.participants is None and check.verdict != "clean":
        told.append(
            (
                "name the participants in a table (columns path, participant_id)",
                f"vit-dementia check {data} --participants who.tsv",
            )
        )
    if told_now and check.participants is not None:
        told.append(
            (
                "keep who is who",
                f"vit-dementia check {data} --write-participants who.tsv",
            )
        )
    if check.leaks and check.participants is not None:
        told += [
            ("split by participant", f"vit-dementia split {data}{who}"),
            ("check it", f"vit-dementia check {data}{who} --split split.json"),
        ]
    if check.price is None and check.leaks:
        told.append(("see its price", f"vit-dementia check {data}{who} --price"))
    return told


def leak_rows(check: Check) -> list[tuple[str, str, str]]:
    """Return name, count and meaning of each kind of leak; nothing without a split."""
    leaks = check.leaks
    if leaks is None:
        return []
    of = f" of {leaks.test_images:,}"
    return [
        (
            "people on both sides",
            count(leaks.participants_shared),
            "have scans in test and in train or val",
        ),
        (
            "test images of them",
            count(leaks.test_images_with_participant_in_train) + of,
            "show somebody the model was trained on",
        ),
        (
            "test images with a copy",
            count(leaks.test_images_near_duplicate_in_train) + of,
            "the same picture is in train, as it is or altered",
        ),
        (
            "test images with a neighbor",
            count(leaks.neighbouring_slices) + of,
            "the next slice of the same head is in train",
        ),
    ]


def price_rows(price: Price) -> list[tuple[str, list[str]]]:
    """Return each model's accuracy as given, with random images, by participant."""
    return [(name, _cells(scores)) for name, scores in price.accuracy.items()]


def _cells(scores: Scores) -> list[str]:
    all_ = (scores.given, scores.random_images, scores.by_participant)
    return ["-" if one is None else f"{one:.3f}" for one in all_]


def price_sentence(price: Price) -> str | None:
    """Say in points what the leak is worth to the model that gains most by it."""
    gains = {
        name: (kind, one - scores.by_participant)
        for name, scores in price.accuracy.items()
        if scores.by_participant is not None
        for kind, one in (
            [("this split", scores.given)]
            if scores.given is not None
            else [("a random split of images", scores.random_images)]
        )
        if one is not None
    }
    if not gains:
        return None
    name = max(gains, key=lambda one: gains[one][1])
    kind, gain = gains[name]
    if gain < 0.02:
        return f"No quick model gains 2 points or more on {kind} over new people."
    return (
        f"A {name} scores {100 * gain:.0f} points more on {kind} than on people it has "
        "not seen: that is what the leak is worth."
    )


def shortcut_cell(shortcut: Shortcut) -> str:
    """Return the AUROC with its interval, or why there is none.

    >>> shortcut_cell(Shortcut("age", 0.8, 0.7, 0.9, True, "CN against all others"))
    '0.80 [0.70, 0.90]'
    """
    if shortcut.auroc is None or shortcut.low is None or shortcut.high is None:
        return shortcut.comparison
    return f"{shortcut.auroc:.2f} [{shortcut.low:.2f}, {shortcut.high:.2f}]"


def shortcut_sentence(check: Check) -> str:
    """Say by what the label can be told without looking at the brain."""
    if not check.shortcuts:
        return "shortcuts were not tried: it cannot be told who is who"
    if not check.flags:
        return f"none of {len(check.shortcuts)} shortcuts tells the label"
    said = ", ".join(f"{one.name} {shortcut_cell(one)}" for one in check.flags)
    return f"the label can be told from: {said}"


def file_rows(check: Check) -> list[tuple[str, str]]:
    """Return what the files are, the commonest kinds first."""
    inventory = check.inventory
    return [
        (name, _counts(found))
        for name, found in (
            ("formats", inventory.formats),
            ("sizes (height x width)", inventory.sizes),
            ("pixels", inventory.modes),
            ("bits", inventory.bits),
        )
    ]


def trouble_rows(check: Check) -> list[tuple[str, str]]:
    """Return how often each kind of trouble was found, without a path."""
    inventory = check.inventory
    rows = list(Counter(problem.kind for problem in check.problems).items())
    rows += [
        (name, len(groups))
        for name, groups in (
            ("groups of images with the same pixels", inventory.exact_groups),
            ("groups of near-copies", check.near_groups),
            ("images with two labels", inventory.label_conflicts),
        )
        if groups
    ]
    return [(name, f"{num:,}") for name, num in rows]


def count(num: int | None) -> str:
    """Return a count, or that it is unknown.

    >>> count(1234), count(None)
    ('1,234', 'unknown')
    """
    return "unknown" if num is None else f"{num:,}"


def percent(share: float) -> str:
    """Return a share in percent, small ones with a decimal.

    >>> percent(0.0012), percent(0.25)
    ('0.1 %', '25 %')
    """
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def _counts(found: Mapping[str, int], most: int = 4) -> str:
    said = [f"{name} ({num:,})" for name, num in list(found.items())[:most]]
    more = len(found) - most
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")
