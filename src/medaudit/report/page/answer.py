"""A question that the page answers, with its answer in sentences."""

from dataclasses import dataclass

from medaudit.report.equivalence import Equivalence
from medaudit.report.verdicts import Verdict


@dataclass(frozen=True)
class Answer:
    """A question and its answer.

    Parameters
    ----------
    question : str
        Heading.
    sentences : list of str
        The answer.
    verdict : Verdict, Equivalence or None
        What the test shows, or what the margin shows, where the question is about one gap.
    summary : bool
        True for the short answer at the top of the page, which is not repeated below.
    """

    question: str
    sentences: list[str]
    verdict: Verdict | Equivalence | None = None
    summary: bool = False
