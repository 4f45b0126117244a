"""An evaluation of one's own: the nearest class mean. How far do classes lie apart, without any fit?"""

import torch

from sslrun.extend import EvaluationSection, Subject, evaluate, option


class Prototypes(EvaluationSection):
    """Each test image goes to the class whose mean training feature is nearest."""

    NAME = "prototypes"

    shrink: float = option(0.0, "How far each class's mean is moved towards the mean of all.", ge=0, le=1)


@evaluate.register
def prototypes(section: Prototypes, subject: Subject) -> dict[str, float]:
    problem = subject.problem
    means_CD = torch.stack([problem.train[problem.train_labels == c].mean(0) for c in range(problem.classes)])
    means_CD = torch.lerp(means_CD, problem.train.mean(0), section.shrink)
    predicted_N = torch.cdist(problem.test, means_CD).argmin(1)
    return {"accuracy": float((predicted_N == problem.test_labels).double().mean())}
