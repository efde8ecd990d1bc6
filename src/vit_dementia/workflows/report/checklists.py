"""The items of two reporting guidelines, answered as far as the data answer them.

TRIPOD+AI (Collins et al. 2024, *BMJ* 385:e078378) and CLAIM (Mongan et al. 2020,
*Radiology: Artificial Intelligence* 2:e200029). Topics are in our words; whoever
submits a paper fills in the guidelines' own forms. What a person must answer, and what
the data are silent about, is "not provided".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vit_dementia.workflows.report.people import NOT_PROVIDED

TRIPOD_AI: tuple[tuple[str, str, str | None], ...] = (
    ("1", "Title: prediction model, population, outcome", None),
    ("2", "Abstract", None),
    ("3a", "Clinical context and why a model", None),
    ("3b", "Who it is for, and where in their care", "intended_use"),
    ("3c", "Known inequalities in health", None),
    ("4", "Objectives", "endpoint"),
    ("5a", "Source of the data", "source"),
    ("5b", "Dates of the data", None),
    ("6a", "Setting and centers", "sites"),
    ("6b", "Eligibility", None),
    ("6c", "Treatments received", None),
    ("7", "Preparation of the data", "preparation"),
    ("8a", "Outcome and how it was determined", "classes"),
    ("8b", "Who judged the outcome", None),
    ("8c", "Blinding of those who judged", None),
    ("9a", "Choice of predictors", "input"),
    ("9b", "Definition of predictors", "preparation"),
    ("9c", "Who judged predictors", "no_judges"),
    ("10", "Sample size and its reasons", "sizes_no_reason"),
    ("11", "Missing data", "left_out"),
    ("12a", "Use of the data: who trained, chose, tested", "division"),
    ("12b", "Handling of predictors in the analysis", "preparation"),
    ("12c", "Kind of model, its making, internal validation", "model"),
    ("12d", "Differences between centers", "subgroups"),
    ("12e", "Measures of performance", "measures"),
    ("12f", "Updating of the model", "no_updating"),
    ("12g", "How predictions were computed", "prediction"),
    ("13", "Unequal classes", "imbalance"),
    ("14", "Fairness", "subgroups"),
    ("15", "Output and its thresholds", "output"),
    ("16", "Differences between training and evaluation data", "division"),
    ("17", "Ethical approval", None),
    ("18a", "Funding", None),
    ("18b", "Conflicts of interest", None),
    ("18c", "Protocol", None),
    ("18d", "Registration", None),
    ("18e", "Sharing of the data", "license"),
    ("18f", "Sharing of the code", "code"),
    ("19", "Involvement of patients and the public", None),
    ("20a", "Flow of participants", "flow"),
    ("20b", "Characteristics of participants", "people"),
    ("20c", "Training compared with evaluation", "people"),
    ("21", "Numbers of participants and outcomes in each analysis", "people"),
    ("22", "The model in full", "specification"),
    ("23a", "Performance with intervals, and in subgroups", "performance"),
    ("23b", "Differences between centers: results", "subgroups"),
    ("24", "Results of updating", "no_updating"),
    ("25", "Interpretation", "summary"),
    ("26", "Limitations", "limits"),
    ("27a", "Input of poor quality or missing, in use", "left_out"),
    ("27b", "Whether users must do or know something", None),
    ("27c", "Next steps", None),
)

CLAIM: tuple[tuple[str, str, str | None], ...] = (
    ("1", "Title names the kind of AI", None),
    ("2", "Structured abstract", None),
    ("3", "Scientific and clinical background", None),
    ("4", "Objectives and hypotheses", "endpoint"),
    ("5", "Prospective or retrospective", None),
    ("6", "Goal of the study", None),
    ("7", "Data sources", "source"),
    ("8", "Eligibility", None),
    ("9", "Preprocessing", "preparation"),
    ("10", "Choice of parts of the data", "left_out"),
    ("11", "Definition of data elements", "classes"),
    ("12", "De-identification", None),
    ("13", "Missing data", "left_out"),
    ("14", "Reference standard", None),
    ("15", "Why this reference standard", None),
    ("16", "Who annotated, with which training", None),
    ("17", "Tools for annotation", None),
    ("18", "Variability of annotators", None),
    ("19", "Intended sample size", "sizes_no_reason"),
    ("20", "Assignment to parts", "division"),
    ("21", "Level at which parts are disjoint", "disjoint"),
    ("22", "Description of the model", "model"),
    ("23", "Software", "software"),
    ("24", "Where the weights began", "initialization"),
    ("25", "Training in detail", "training"),
    ("26", "Choice of the final model", "selection"),
    ("27", "Ensembling", "ensemble"),
    ("28", "Metrics of performance", "measures"),
    ("29", "Measures of significance and uncertainty", "uncertainty"),
    ("30", "Robustness or sensitivity", "robustness"),
    ("31", "Explainability", None),
    ("32", "Test on external data", "external"),
    ("33", "Flow of participants", "flow"),
    ("34", "Demographics and clinical data in each part", "people"),
    ("35", "Performance on all parts, with a benchmark", "floors"),
    ("36", "Diagnostic accuracy and its precision", "performance"),
    ("37", "Analysis of failures", "failures"),
    ("38", "Limitations", "limits"),
    ("39", "Meaning for practice", "intended_use"),
    ("40", "Registration", None),
    ("41", "Protocol, data and code", "code"),
    ("42", "Funding", None),
)


def checklists(answers: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """Return the items of both guidelines with what is known of each.

    Args:
        answers: what ``answers.answers`` returned.

    >>> checklists({"endpoint": "AD against CN"})["CLAIM"][3]["said"]
    'AD against CN'
    """
    return {
        name: [
            {
                "item": item,
                "topic": topic,
                "said": answers.get(key or "", NOT_PROVIDED),
            }
            for item, topic, key in items
        ]
        for name, items in (("TRIPOD+AI", TRIPOD_AI), ("CLAIM", CLAIM))
    }


def count_answered(items: list[dict[str, Any]]) -> int:
    """Count the items that something is said about.

    >>> count_answered([{"said": "not provided"}, {"said": "see Scores"}])
    1
    """
    return sum(item["said"] != NOT_PROVIDED for item in items)
