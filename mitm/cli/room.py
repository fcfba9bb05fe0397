"""`mitm-demo room`: the live page, until Ctrl-C."""

import click

from mitm.cli.loading import loading
from mitm.cli.loop import in_loop
from mitm.cli.modes import allow_host_option
from mitm.cli.streams import tell

# As of `run`: for want of something that is to be installed.
_MISSING = 4


@click.command()
@click.option("--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT")
@click.option(
    "--seats",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="NUMBER",
    help="Pages with a stage of their own, each at an address of its own.",
)
@click.option(
    "--class",
    "class_",
    is_flag=True,
    help="Show the first page who is at which exercise, of those who choose to send it.",
)
@allow_host_option
def room(listen: str, seats: int, class_: bool, allow_host: tuple[str, ...]) -> int:
    """Serve a live page for a class: scenarios as they are played, and your own client.

    \b
    mitm-demo room
    mitm-demo room --class
    mitm-demo room --seats 30
    mitm-demo room --class --listen 192.0.2.7:8000 --allow-host 192.0.2.7

    Prints the address of the page, with the token that it opens by. Port 0 is any that is free. On
    another address than this machine's own the page is served in plaintext: on a network of the
    class alone.

    Exit code: 4 for want of something that is to be installed, pip install 'mitm-demo[room]'.
    """
    from mitm.address import guard, parse
    from mitm.room.needs import missing

    where = guard(parse(listen), allow_host)
    if lacking := missing():
        tell(lacking)
        return _MISSING
    with loading():
        from mitm.room.serve import Served, serve

    def on_ready(served: Served) -> None:
        first, *others = served.seats
        click.echo(f"the page is at {first}")
        for number, address in enumerate(others, 2):
            click.echo(f"seat {number} is at {address}")
        if served.learners:
            click.echo(f"learners send with: mitm-demo learn --send {served.learners} --as NAME")
        click.echo("Ctrl-C ends it")

    in_loop(serve(where, allow_host, seats=seats, with_class=class_, on_ready=on_ready))
    return 0
