"""What a report says of probabilities: whether they mean what they say, what is unsure.

From the numbers of ``metrics.json`` alone.
"""

from __future__ import annotations

from vit_dementia.workflows.report.words import (
    Metrics,
    count,
    figure,
    number,
    unit_of,
)


def probabilities(metrics: Metrics) -> list[str]:
    """Return what is known of the probabilities, sentence by sentence."""
    return [*scaling(metrics), *calibration(metrics), *sets(metrics)]


def scaling(metrics: Metrics) -> list[str]:
    """Say how probabilities were mended before they were scored."""
    found = metrics.get("model_calibration")
    if not found:
        return []
    scaled, people = found.get("scaling", {}), found.get("n_participants", 0)
    method = scaled.get("method", "none")
    if method == "none":
        why = f": {scaled['why']}" if scaled.get("why") else ""
        return [f"The probabilities that the model says were left as they are{why}."]
    by = f" ({figure(scaled['temperature'])})" if scaled.get("temperature") else ""
    return [
        f"The probabilities were mended by {method}{by}, fitted on "
        f"{count(people, 'validation participant')}; a temperature above 1 says that "
        "the model was too sure."
    ]


def calibration(metrics: Metrics) -> list[str]:
    """Say whether probabilities mean what they say."""
    found = metrics[f"by_{unit_of(metrics)}"]["calibration"]
    if found["slope"]["value"] is None:
        return [f"Calibration is undefined: {found['slope']['undefined']}."]
    return [
        f"Calibration: slope {number(found['slope'])}, 1 is best and below it "
        f"probabilities are too extreme; intercept {number(found['intercept'])}, 0 is "
        f"best; error {figure(found['error']['value'])} (debiased, 0 is best)."
    ]


def sets(metrics: Metrics) -> list[str]:
    """Say what it would be worth to let the model answer "not sure"."""
    found = metrics[f"by_{unit_of(metrics)}"].get("sets")
    if not found:
        return []
    asked = f"{found['level']:.0%}"
    if "undefined" in found:
        return [
            f"Prediction sets that hold the truth {asked} of the time: "
            f"{found['undefined']}."
        ]
    return [
        f"Prediction sets made to hold the true class {asked} of the time (calibrated "
        f"on {found['calibrated_on']}) held it in {number(found['coverage'])}, with "
        f"{found['mean_size']:.1f} classes on average. Answering yes or no only where "
        f"the set leaves one side, the model answers {number(found['answered'])} of "
        f"all and is right in {number(found['right_when_answered'])} of those."
    ]
