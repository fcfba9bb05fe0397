"""`mitm-demo learn quiz`: eight questions before and after, counted and compared."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mitm.cli import report
from mitm.errors import UserError
from mitm.learn.folder import Folder
from mitm.learn.quiz import Answered, Answers, Question, Round, Sheet, count, is_right, load_quiz
from mitm.masking import plain, shortened

_NO_FOLDER = "there are no exercises here, to keep answers beside: mitm-demo learn start FOLDER"

# Characters of an answer. A longer line is none, and is not read to its end.
_LONGEST = 200


@click.command()
@click.argument(
    "which", metavar="[before|after]", required=False, type=click.Choice(get_args(Round))
)
def quiz(which: Round | None) -> int:
    """Eight questions, before anything was shown and at the end.

    \b
    mitm-demo learn quiz               what comes next; once both are taken, how they compare
    mitm-demo learn quiz after         again
    mitm-demo learn quiz < answers     a number a line; an empty line is "I do not know"

    The answers stay in your folder. What is right is told after the second time.
    """
    folder = Folder.find(Path.cwd())
    if folder is None:
        raise UserError(_NO_FOLDER)
    questions, sheet = load_quiz(), Sheet(folder)
    answered = sheet.read()
    chosen = which or answered.next()
    if chosen:
        sheet.refuse_again(answered, chosen)
        setattr(answered, chosen, _ask(questions))
        sheet.keep(answered)
    _show(questions, answered, explain=chosen == "after")
    return 0


def _ask(questions: Sequence[Question]) -> dict[str, int]:
    console, answers = report.console(), {}
    for number, question in enumerate(questions, start=1):
        title = Text(f"\n{number} of {len(questions)}  {question.question}", style="bold")
        console.print(title)
        choices = Table.grid(padding=(0, 2))
        for place, choice in enumerate(question.choices, start=1):
            choices.add_row(str(place), Text(choice))
        console.print(Padding(choices, (0, 0, 0, 4)))
        answers[question.name] = _answer(number, len(question.choices))
    return answers


def _answer(number: int, choices: int) -> int:
    """The number of a choice; 0 for none. Whoever sits before it is asked until there is one."""
    known = {"": 0} | {str(choice): choice for choice in range(1, choices + 1)}
    while True:
        click.echo(f"\n  1 to {choices}, or nothing if you do not know: ", nl=False)
        try:
            line = sys.stdin.readline(_LONGEST)
        except UnicodeDecodeError:
            line = "\N{REPLACEMENT CHARACTER}\n"
        if not line:
            click.echo()
            raise UserError(f"answer {number}: there is none; nothing was kept")
        text = line.strip()
        if text in known:
            if not sys.stdin.isatty():
                click.echo(text)
            return known[text]
        if not sys.stdin.isatty():
            click.echo()
            told = plain(shortened(text, 20))
            raise UserError(
                f"answer {number}: {told!r} is none: a number from 1 to {choices}, or an empty "
                "line; nothing was kept"
            )


def _show(questions: Sequence[Question], answered: Answered, *, explain: bool) -> None:
    console = report.console()
    if explain and answered.after is not None:
        for number, question in enumerate(questions, start=1):
            _explain(number, question, answered.after)
    console.print()
    for name, answers in (("before", answered.before), ("after", answered.after)):
        if answers is not None:
            text = f"  {name:<7} {count(questions, answers)} of {len(questions)} right"
            console.print(Text(text, style="bold"))
    if answered.after is None:
        console.print("  what is right is told at the end: mitm-demo learn quiz")


def _explain(number: int, question: Question, answers: Answers) -> None:
    console = report.console()
    right = is_right(question, answers)
    mark, style = ("✓", "good") if right else ("✗", "harm")
    console.print(Text(f"\n{mark} {number}  {question.choices[question.answer - 1]}", style=style))
    console.print(Padding(Text(question.because), (0, 0, 0, 4)))
    if not right:
        console.print(Padding(Text(f"see it: mitm-demo run {question.scenario}"), (0, 0, 0, 4)))
