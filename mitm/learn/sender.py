"""What a learner chooses to tell a class: how far an exercise has come, and nothing else."""

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request

import msgspec

from mitm.errors import UserError
from mitm.learn.exercise import Exercise
from mitm.learn.folder import Progress
from mitm.masking import plain, shortened

# Seconds. A class is on the same network, and a learner waits for nobody.
_SECONDS = 3.0

# Characters of a name.
_LONGEST = 40


class Sender(msgspec.Struct, frozen=True):
    """Tells a class where a learner stands.

    Attributes:
        address: of the class, as the trainer's room prints it, with its token.
        seat: by which the learner is known there.
    """

    address: str
    seat: str

    @classmethod
    def to(cls, address: str | None, seat: str | None) -> "Sender | None":
        """One that sends to an address, None if nothing is to be sent.

        Raises:
            UserError: the address is none, or there is no name.
        """
        if address is None and seat is None:
            return None
        if not address or not seat:
            raise UserError("--send ADDRESS and --as NAME go together: where to, and who you are")
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError("--send: write the address that the trainer shows, http://…")
        if len(seat) > _LONGEST or not seat.isprintable():
            raise UserError(f"--as: write a name of at most {_LONGEST} printable characters")
        return cls(address, seat)

    async def send(self, exercise: Exercise, progress: Progress) -> str:
        """Tell how far an exercise has come; why that failed, in a line, "" if it did not."""
        state = {
            "seat": self.seat,
            "exercise": exercise.name,
            "state": progress.state,
            "tries": progress.tries,
            "hints": progress.hints,
        }
        try:
            await asyncio.to_thread(_post, self.address, json.dumps(state).encode())
        except urllib.error.HTTPError as error:
            return f"the class was not told: it answers {error.code}"
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            return f"the class was not told: {plain(shortened(str(reason)))}"
        return ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What a learner tells goes to the class, and to nobody that it names."""

    def redirect_request(self, *_: object) -> None:
        return None


def _post(address: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, body, headers, method="POST")  # noqa: S310
    # Straight there: a proxy is none of a class's.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    with opener.open(request, timeout=_SECONDS) as answer:
        answer.read(1)
