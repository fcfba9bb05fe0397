"""The quiz: the same questions before and after, whose answers stay in the learner's folder."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from mitm import content, front_matter
from mitm.audit.reports.files import ReportFile
from mitm.errors import UserError
from mitm.learn.exercise import Prediction
from mitm.learn.folder import Folder

QUIZ = content.EXERCISES / "quiz.md"

Round = Literal["before", "after"]


class Question(Prediction, frozen=True, kw_only=True):
    """A question of the quiz.

    Attributes:
        name: what its answer is kept by.
        scenario: that shows why the right answer is right.
    """

    name: str
    scenario: str


class _FrontMatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    questions: Annotated[tuple[Question, ...], msgspec.Meta(min_length=1)]


def load_quiz() -> tuple[Question, ...]:
    """Load the questions, in the order in which they are asked.

    Raises:
        UserError: the file is not well-formed; file, key and reason are named.
    """
    front, _ = front_matter.load(QUIZ, _FrontMatter)
    return front.questions


# The choice for each question, from 1, by its name; 0 for "I do not know".
Answers = Mapping[str, int]


class Answered(msgspec.Struct):
    """What a learner has answered; None for a round that was not taken."""

    before: dict[str, int] | None = None
    after: dict[str, int] | None = None

    def next(self) -> Round | None:
        """The round that comes next; None if both were taken."""
        if self.after is not None:
            return None
        return "before" if self.before is None else "after"


def is_right(question: Question, answers: Answers) -> bool:
    """Whether a question was answered rightly."""
    return answers.get(question.name) == question.answer


def count(questions: Sequence[Question], answers: Answers) -> int:
    """How many questions were answered rightly."""
    return sum(is_right(question, answers) for question in questions)


class Sheet:
    """The answers in a learner's folder.

    Args:
        folder: the learner's.

    Raises:
        UserError: nothing can be written there.
    """

    def __init__(self, folder: Folder) -> None:
        self._path = folder.kept / "quiz.json"
        # Before eight questions are asked, and not after.
        self._file = ReportFile("answers", self._path)

    def read(self) -> Answered:
        """What was answered.

        Raises:
            UserError: it cannot be read.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Answered)
        except FileNotFoundError:
            return Answered()
        except OSError as error:
            raise UserError(f"{self._path}: cannot be read: {error.strerror}") from None
        except msgspec.DecodeError as error:
            raise UserError(f"{self._path}: {error}: remove it to begin anew") from None

    def keep(self, answered: Answered) -> None:
        """Keep what was answered.

        Raises:
            UserError: it cannot be written.
        """
        self._file.write(msgspec.json.format(msgspec.json.encode(answered)).decode() + "\n")

    def refuse_again(self, answered: Answered, which: Round) -> None:
        """Refuse a round whose answers would be worth nothing any more.

        Raises:
            UserError: the answers were shown already, or it is the first word that counts.
        """
        if which == "before" and answered.next() != "before":
            raise UserError(
                f"the questions were answered already, and the first time counts: "
                f"mitm-demo learn quiz after, or remove {self._path} to begin anew"
            )
