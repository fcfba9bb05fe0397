"""What an audit of a client and a probe of a server call the same things in sentences."""

from typing import NamedTuple

from mitm.audit.finding import Subject

# The noun of whoever is probed.
SERVER = "server"


class Words(NamedTuple):
    """The words.

    Attributes:
        command: of mitm-demo.
        tried: one of what is tried, `certificate`.
        plural: the same in the plural.
        control: what must get through.
        failed: what the control was, where that is not what it did.
        done: how all that was tried was treated, where nothing was found.
        nothing: why nothing came of it, where all was impossible; and where all was beside the
            point.
        vulnerable, too_strict: headings.
        stricter: who treats what is left in another way.
        differs: the same in a sentence, before what it is about.
        not_let: the heading where the control has failed.
    """

    command: str
    tried: str
    plural: str
    control: str
    failed: str
    done: str
    impossible: str
    beside: str
    vulnerable: str
    too_strict: str
    stricter: str
    differs: str
    not_let: str


_CLIENT = Words(
    command="audit",
    tried="certificate",
    plural="certificates",
    control="the genuine certificate",
    failed="must be accepted, or else nothing is proved by rejecting the others",
    done="every certificate that could be presented was treated as it should be",
    impossible="none of the certificates can be presented here",
    beside="nothing that was tried applies to this client",
    vulnerable="Vulnerable: accepted, though it must not be trusted",
    too_strict="Too strict: rejected, though it is sound",
    stricter="Only stricter clients refuse these",
    differs="only stricter clients refuse",
    not_let="The genuine certificate was not accepted",
)
_SERVER = Words(
    command="probe",
    tried="way",
    plural="ways",
    control="the good certificate",
    failed="must be let in, or else nothing is proved by turning the others away",
    done="every client that could be tried was treated as it should be",
    impossible="none of these ways can be tried here",
    beside="nothing that was tried applies to this server",
    vulnerable="Vulnerable: somebody got in who must not",
    too_strict="Too strict: turned away, though it is sound",
    stricter="Only stricter servers turn these away",
    differs="only stricter servers turn away",
    not_let="The good certificate was not let in",
)


def words_for(subject: Subject) -> Words:
    """The words for a report about whom it is about."""
    return _SERVER if subject.noun == SERVER else _CLIENT
