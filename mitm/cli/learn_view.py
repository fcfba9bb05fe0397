"""What a learner is shown."""

from rich.columns import Columns
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from mitm.cli import report
from mitm.learn.course import Course
from mitm.learn.exercise import STEPS, Exercise
from mitm.learn.folder import State
from mitm.learn.grade import Grade
from mitm.masking import plain

_STYLES = {"green": "good", "red": "harm", "unproved": "caution"}
_WORDS = {"green": "green", "red": "red", "unproved": "red: nothing is proved"}
_MARKS: dict[State, tuple[str, str]] = {
    "open": ("·", ""),
    "red": ("✗", "harm"),
    "green": ("✓", "good"),
}
_MARGIN = (0, 0, 0, 2)


class LearnView:
    """Tells a learner on the console.

    Args:
        course: that the learner takes.
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self._console = report.console()

    def scene(self, exercise: Exercise) -> None:
        """An exercise begins."""
        self._console.print()
        title = Text(f"{exercise.order}  {exercise.title}", style="bold")
        self._console.print(Rule(title, align="left"))
        self._console.print(Padding(report.markdown(exercise.scene), _MARGIN))
        self._console.print(Text.assemble("\n  your files: ", (self._files(exercise), "bold")))

    def question(self, exercise: Exercise, *, keys: bool = True) -> None:
        """What is to be predicted, and by which keys."""
        self._console.print(Text("\nPredict first", style="bold"))
        self._console.print(Padding(exercise.predict.question, _MARGIN))
        for number, choice in enumerate(exercise.predict.choices, start=1):
            self._console.print(Padding(Text(f"{number}  {choice}"), (0, 0, 0, 4)))
        if not keys:
            return
        numbers = " or ".join(map(str, range(1, len(exercise.predict.choices) + 1)))
        self._console.print(f"\n  press {numbers} (n passes on, q ends)")

    def step(self, text: str) -> None:
        """What is being done."""
        self._console.print(Text(f"\n  {plain(text)} …", style="italic"))

    def graded(self, exercise: Exercise, graded: Grade) -> None:
        """What a check came to."""
        self._console.print()
        style = _STYLES[graded.outcome]
        self._console.print(
            Text.assemble((f"{exercise.name}: {_WORDS[graded.outcome]}", style), "\n"),
            Padding(Text(graded.reason), _MARGIN),
        )
        if graded.read:
            self._console.print(Text("\n  What the attacker read", style="bold"))
            for line in graded.read:
                self._console.print(Padding(Text(line, style="harm"), (0, 0, 0, 4)))
        if graded.said:
            self._console.print(Text("\n  What your program said", style="bold"))
            for line in graded.said:
                self._console.print(Padding(Text(plain(line)), (0, 0, 0, 4)))
        self._tried(graded)
        self._prediction(exercise)
        if graded.outcome == "green":
            self._lesson(exercise)

    def _lesson(self, exercise: Exercise) -> None:
        lesson = exercise.lesson(self._course.stack(exercise).name)
        self._console.print()
        self._console.print(Padding(report.markdown(lesson), _MARGIN))

    def _tried(self, graded: Grade) -> None:
        if not graded.tried:
            return
        marks = []
        for tried in graded.tried:
            mark, style = ("✓", "good") if tried.good else ("✗", "harm")
            marks.append(Text(f"{mark} {plain(tried.name)}", style=style))
        self._console.print()
        self._console.print(Padding(Columns(marks, padding=(0, 3)), _MARGIN))

    def _prediction(self, exercise: Exercise) -> None:
        predicted, predict = self._course.progress(exercise).predicted, exercise.predict
        if not predicted:
            return
        was = "as you predicted" if predicted == predict.answer else f"you said {predicted}"
        answer = plain(predict.choices[predict.answer - 1])
        self._console.print(
            Padding(Text(f"\nPrediction: {answer} ({was}). {plain(predict.because)}"), _MARGIN)
        )

    def exercise(self, exercise: Exercise) -> None:
        """An exercise, and what there is to say of it once it is solved."""
        self.scene(exercise)
        self.question(exercise, keys=False)
        if self._course.progress(exercise).state == "green":
            self._lesson(exercise)

    def hints(self, exercise: Exercise, hints: tuple[str, ...]) -> None:
        """The hints up to now."""
        self._console.print()
        for number, hint in enumerate(hints, start=1):
            text = f"hint {number} of {len(STEPS)}: {plain(hint)}"
            self._console.print(Padding(Text(text), _MARGIN))

    def progress(self) -> None:
        """All exercises, and how far they have come."""
        memory = self._course.folder.memory()
        self._console.print()
        rows = Table.grid(padding=(0, 2))
        for exercise in self._course.exercises:
            progress = memory.of(exercise)
            mark, style = _MARKS[progress.state]
            told = f"{progress.tries} tries" if progress.tries != 1 else "1 try"
            told += f", {progress.hints} hints" if progress.hints else ""
            told = told if progress.tries or progress.hints else ""
            rows.add_row(Text(mark, style=style), exercise.name, Text(exercise.title), told)
        self._console.print(Padding(rows, _MARGIN))

    def keys(self, exercise: Exercise) -> None:
        """What can be done now."""
        green = self._course.progress(exercise).state == "green"
        what = "n goes on to the next" if green else f"change {self._files(exercise)} and save"
        rest = "" if green else ", n passes on"
        text = f"{what}; h hint{rest}, l list, c check, q end"
        self._console.print(Padding(Text(text), (1, 0, 0, 2)))

    def word(self, text: str) -> None:
        """One line."""
        self._console.print(Padding(Text(plain(text), style="caution"), (1, 0, 0, 2)))

    def done(self) -> None:
        """All is solved."""
        self.progress()
        self._console.print(Text("\nAll exercises are green.", style="good"))

    def _files(self, exercise: Exercise) -> str:
        place = self._course.folder.place(exercise)
        stack = self._course.stack(exercise)
        files = sorted(p.name for p in place.glob("*") if p.suffix in stack.suffixes)
        if len(files) == 1:
            return f"{exercise.name}/{plain(files[0])}"
        return f"{exercise.name}/"
