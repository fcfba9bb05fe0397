"""A test suite as somebody's framework runs it: one test for each case of a session.

Run by `mitm-demo audit --session`. Its client speaks TLS by Python's ssl.

    suite.py [--careless] [--fail] [--pass] [--abort=NAME] [--exit=NAME] [WORD...]

`--careless` verifies nothing; `--fail` ends with 7 and `--pass` with 0, whatever was judged; words
are the cases that are tried, all by default. With the case NAME, the program is ended by SIGABRT,
or exits, once the client has made its call.
"""

import json
import os
import socket
import ssl
import sys
import urllib.parse
import urllib.request

SESSION = os.environ.get("MITM_SESSION", "")
TOKEN = "a-secret-of-the-test-0123456789"  # noqa: S105


def call(case: dict[str, str], *, careless: bool) -> None:
    """Make one call, as HTTP/1.1 has it."""
    if careless:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = ssl.create_default_context(cafile=case["ca"])
    with (
        socket.create_connection((case["host"], int(case["port"])), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=case["server_name"]) as tls,
    ):
        tls.sendall(f"GET /me HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        tls.recv(100)


def judge(name: str, error: str | None) -> dict[str, object]:
    """Ask what came of it."""
    url = f"{SESSION}/cases/{urllib.parse.quote(name)}/judge"
    body = json.dumps({"error": error}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        judgement: dict[str, object] = json.load(answer)
    return judgement


def main() -> int:
    with urllib.request.urlopen(f"{SESSION}/cases") as answer:  # noqa: S310
        cases = json.load(answer)["cases"]
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    failed = 0
    for case in cases:
        if words and case["name"] not in words:
            continue
        error = None
        try:
            call(case, careless="--careless" in sys.argv)
        except (OSError, ValueError) as refusal:
            error = f"{type(refusal).__name__}: {refusal}"
        if f"--abort={case['name']}" in sys.argv:
            os.abort()
        if f"--exit={case['name']}" in sys.argv:
            return 8
        judgement = judge(case["name"], error)
        if judgement["fails"]:
            failed += 1
            print(f"--- FAIL: {case['name']}\n{judgement['message']}")
        else:
            print(f"--- {judgement['outcome']}: {case['name']}")
    if "--fail" in sys.argv:
        return 7
    return 1 if failed and "--pass" not in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
