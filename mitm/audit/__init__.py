"""The audit: forged certificates, tried one after the other on any client.

From Python it is one call, `run`. What it is made of is here as well, for those who put it together
in another way.
"""

from mitm.audit.attack import Attack
from mitm.audit.case import (
    CONTROL,
    Case,
    Entry,
    Suite,
    catalogue,
    certificates,
    forge_suite,
    load_entry,
    select,
    with_own,
    with_twins,
)
from mitm.audit.cause import Cause, find_causes
from mitm.audit.command import Command
from mitm.audit.finding import Finding, Report, Subject
from mitm.audit.in_process import Auditor, ClientUnderTest, run
from mitm.audit.listener import Endpoint, Listener, Upstream
from mitm.audit.offer import OfferRule
from mitm.audit.trial import run_audit, stand_in, try_case
from mitm.evidence import ClientRun
from mitm.messages.status import status_code

__all__ = [
    "CONTROL",
    "Attack",
    "Auditor",
    "Case",
    "Cause",
    "ClientRun",
    "ClientUnderTest",
    "Command",
    "Endpoint",
    "Entry",
    "Finding",
    "Listener",
    "OfferRule",
    "Report",
    "Subject",
    "Suite",
    "Upstream",
    "catalogue",
    "certificates",
    "find_causes",
    "forge_suite",
    "load_entry",
    "run",
    "run_audit",
    "select",
    "stand_in",
    "status_code",
    "try_case",
    "with_own",
    "with_twins",
]
