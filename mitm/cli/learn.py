"""`mitm-demo learn`: exercises in a folder of the learner's own, graded by what they do."""

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from mitm.cli import completion
from mitm.cli.loading import loading
from mitm.errors import UserError

with loading():
    from mitm.cli.again import quoted
    from mitm.cli.learn_quiz import quiz
    from mitm.cli.learn_view import LearnView
    from mitm.cli.loop import in_loop
    from mitm.learn.course import Course, begin
    from mitm.learn.exercise import Exercise
    from mitm.learn.folder import FALLBACK, Folder
    from mitm.learn.sender import Sender

_NO_FOLDER = (
    "there are no exercises here: go to an empty folder, or make one: mitm-demo learn start FOLDER"
)

T = TypeVar("T")

_exercise = click.argument("exercise", required=False, shell_complete=completion.exercise_names)


@click.group(invoke_without_command=True)
@click.option("--send", metavar="ADDRESS", help="Tell the class there how far you are.")
@click.option("--as", "seat", metavar="NAME", help="Who you are in the class.")
@click.pass_context
def learn(context: click.Context, send: str | None, seat: str | None) -> int:
    """Mend small flawed programs: predict, attack, mend, and see it turn green.

    \b
    mitm-demo learn                    in an empty folder: lays it out, and watches it
    mitm-demo learn start lessons --stack go
    mitm-demo learn check 2            once, without a terminal as well
    mitm-demo learn hint
    mitm-demo learn reset 2            or all
    mitm-demo learn quiz               eight questions, before and after
    mitm-demo learn doctor             ten minutes before
    mitm-demo learn gather STICK       for a room without a network

    Each exercise is a small program in a file of yours. Change it and save: it is played against a
    genuine server, which must get its call, and against attackers, who must not.

    Exit code: 0 green, 1 not yet, 2 wrong input, 3 nothing is proved: the program does not get
    through to its own server.
    """
    context.obj = Sender.to(send, seat)
    if context.invoked_subcommand is None:
        return _learn(context.obj)
    return 0


def _learn(sender: Sender | None) -> int:
    folder = Folder.find(Path.cwd())
    if folder is None:
        if any(Path.cwd().iterdir()):
            raise UserError(_NO_FOLDER)
        folder = begin(Folder(Path.cwd()), FALLBACK).folder
        click.echo("Laid out the exercises here.")
    course = _opened(folder, sender)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        exercise = course.current()
        if exercise is None:
            LearnView(course).done()
            return 0
        click.echo("There is no terminal here to watch by: this checks once.")
        return _check(course, exercise)
    from mitm.cli.keys import pressed
    from mitm.learn.watch import Watch

    async def watched() -> int:
        with pressed() as keys:
            return await Watch(course, LearnView(course), keys).run()

    return in_loop(watched())


def _course(sender: Sender | None) -> Course:
    folder = Folder.find(Path.cwd())
    if folder is None:
        raise UserError(_NO_FOLDER)
    return _opened(folder, sender)


def _opened(folder: Folder, sender: Sender | None) -> Course:
    course = Course(folder, sender)
    course.on_problem = LearnView(course).word
    return course


def _meant(course: Course, word: str | None) -> Exercise:
    """The exercise that is named, or the first that is not solved."""
    if word:
        return course.find(word)
    exercise = course.current()
    if exercise is None:
        raise UserError("all exercises are green: name one to take it again, by its number")
    return exercise


def _check(course: Course, exercise: Exercise) -> int:
    view = LearnView(course)
    digest = course.folder.digest(exercise)

    async def check() -> int:
        graded = await course.check(exercise)
        await course.remember(exercise, graded, digest)
        view.graded(exercise, graded)
        return graded.exit_code

    return _done(course, check())


def _done(course: Course, coroutine: Coroutine[Any, Any, T]) -> T:
    """Do something, and see that the class was told."""

    async def do() -> T:
        result = await coroutine
        await course.sent()
        return result

    return in_loop(do())


@learn.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--stack",
    default=FALLBACK,
    show_default=True,
    help="The language of the files.",
    shell_complete=completion.stack_names,
)
def start(folder: Path | None, stack: str) -> int:
    """Lay the exercises out in a folder, by default this one, which is to be empty.

    \b
    mitm-demo learn start
    mitm-demo learn start lessons --stack go

    What there is not in that language is laid out in Python.
    """
    place = (folder or Path.cwd()).absolute()
    course = begin(Folder(place), stack)
    LearnView(course).progress()
    where = f"cd {quoted(str(folder))} && " if folder else ""
    click.echo(f"\n  Laid out. Go on with: {where}mitm-demo learn")
    return 0


@learn.command()
@_exercise
@click.pass_obj
def check(sender: Sender | None, exercise: str | None) -> int:
    """Check an exercise once, by its number or name; by default the first that is not solved.

    \b
    mitm-demo learn check
    mitm-demo learn check 2

    Exit code: 0 green, 1 red, 2 wrong input, 3 nothing is proved.
    """
    course = _course(sender)
    return _check(course, _meant(course, exercise))


@learn.command()
@_exercise
@click.pass_obj
def hint(sender: Sender | None, exercise: str | None) -> int:
    """Give the next of three hints: where the mistake is, what it is, and the line that mends it.

    \b
    mitm-demo learn hint
    mitm-demo learn hint 2
    """
    course = _course(sender)
    meant = _meant(course, exercise)
    LearnView(course).hints(meant, _done(course, course.hint(meant)))
    return 0


@learn.command()
@_exercise
@click.pass_obj
def show(sender: Sender | None, exercise: str | None) -> int:
    """Show what an exercise is about, and the explanation once it is green.

    \b
    mitm-demo learn show 2
    """
    course = _course(sender)
    meant = _meant(course, exercise)
    LearnView(course).exercise(meant)
    return 0


@learn.command("list")
@click.pass_obj
def list_exercises(sender: Sender | None) -> int:
    """List the exercises, and how far you have come.

    \b
    mitm-demo learn list
    """
    LearnView(_course(sender)).progress()
    return 0


@learn.command()
@click.argument("exercise", shell_complete=completion.exercise_names)
@click.pass_obj
def reset(sender: Sender | None, exercise: str) -> int:
    """Lay an exercise out as it was at first, or all of them.

    \b
    mitm-demo learn reset 2
    mitm-demo learn reset all

    What you have changed in its files is gone; files of your own beside them stay.
    """
    course = _course(sender)
    meant = course.exercises if exercise == "all" else [course.find(exercise)]

    async def lay_out() -> None:
        for each in meant:
            await course.reset(each)
            click.echo(f"  {each.name} is as it was at first")

    _done(course, lay_out())
    return 0


@learn.command()
def doctor() -> int:
    """Tell ten minutes before what can be done here, and how to get what is missing.

    \b
    mitm-demo learn doctor

    Exit code: 1 if the exercises in Python cannot be done here.
    """
    from mitm.cli.learn_doctor import examine

    return in_loop(examine())


learn.add_command(quiz)


@learn.command()
@click.argument("folder", type=click.Path(path_type=Path))
def gather(folder: Path) -> int:
    """Gather in a folder what a room without a network installs from, by its install.sh.

    \b
    mitm-demo learn gather /media/stick

    Wheels, for machines of this kind and this Python, and what the clients of the exercises are
    built of, for each stack whose tools are here.
    """
    from mitm.learn.stack import stacks
    from mitm.learn.stick import INSTALL
    from mitm.learn.stick import gather as gathered

    known = list(stacks().values())
    left_out = in_loop(gathered(folder, known, lambda step: click.echo(f"  {step} …")))
    for title, reason in left_out.items():
        click.echo(f"  left out: {title}: {reason}")
    click.echo(f"\n  Gathered. In the room: sh {folder / INSTALL}")
    return 0
