"""What a client was given as a secret is not repeated in a report."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mitm.last_words import last_line, last_lines
from mitm.masking import QUOTED, shortened, without_secrets
from mitm.programs import secrets_of

SECRET = "hunter2-hunter2"  # noqa: S105


@pytest.mark.parametrize(
    "words",
    [
        ["./client", "--token", SECRET],
        ["./client", f"--api-key={SECRET}"],
        ["curl", "-H", f"authorization: Bearer {SECRET}"],
        ["curl", "-H", f"Cookie: session={SECRET}"],
        ["env", f"API_TOKEN={SECRET}", "./client"],
        ["./client", f"--header=x-api-key: {SECRET}"],
        ["./client", f'{{"password": "{SECRET}"}}'],
        ["curl", "-u", f"nicolas:{SECRET}"],
        ["curl", f"https://nicolas:{SECRET}@localhost/"],
    ],
)
def test_secrets_of_the_command_line_are_left_out(words: list[str]) -> None:
    assert without_secrets(f"refused: {SECRET}!", secrets_of(words, {})) == "refused: …!"


def test_the_password_in_a_variables_url_is_left_out() -> None:
    surroundings = {"DATABASE_URL": f"postgres://nicolas:{SECRET}@localhost/users"}
    assert without_secrets(f"got {SECRET}", secrets_of([], surroundings)) == "got …"


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "DB_PASSWORD", "AWS_SECRET", "MY_API_KEY"])
def test_secrets_of_the_environment_are_left_out(name: str) -> None:
    assert without_secrets(f"got {SECRET}", secrets_of(["./client"], {name: SECRET})) == "got …"


@pytest.mark.parametrize(
    ("words", "environment"),
    [(["./client", "--region", SECRET], {}), (["./client"], {"REGION": SECRET})],
)
def test_what_goes_by_another_name_is_quoted(words: list[str], environment: dict[str, str]) -> None:
    """The twin: or else nothing that a client says could be read."""
    assert without_secrets(f"got {SECRET}", secrets_of(words, environment)) == f"got {SECRET}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sent Bearer abcdefghijkl and left", "sent Bearer … and left"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic …"),
        ("no answer from https://user:pass@host/x", "no answer from https://…@host/x"),
        ("bearer of bad news", "bearer of bad news"),
        ("login failed: password=hunter2 user=nicolas", "login failed: password=… user=nicolas"),
        ("GET /x?api_key=abc&y=1", "GET /x?api_key=…&y=1"),
        ("GET /x?key=abc&y=1", "GET /x?key=…&y=1"),
        ('{"password": "hun ter2", "a": 1}', '{"password": "…", "a": 1}'),
        ("metadata (('x-api-key', 'abc def'),)", "metadata (('x-api-key', '…'),)"),
        ("_Metadatum(key='x-api-key', value='abcd')", "_Metadatum(key='x-api-key', value='…')"),
        ("./client --verbose --token abc -v", "./client --verbose --token … -v"),
        ("password: swordfish", "password: …"),
        ("Cookie: a=b; c=d", "Cookie: …"),
        ("authorization: ApiKey abcdef123456", "authorization: ApiKey …"),
        ("no: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln!", "no: …!"),
        ("no: ghp_0123456789abcdefghij!", "no: …!"),
        # Words about credentials are none.
        ("Unexpected token: end", "Unexpected token: end"),
        ("the password is wrong", "the password is wrong"),
        ("authorization: denied for user5", "authorization: denied for user5"),
        ("invalid session: expired", "invalid session: expired"),
        ("max-tokens=5 key=user:5", "max-tokens=5 key=user:5"),
        ("no answer from https://host/x@y", "no answer from https://host/x@y"),
    ],
)
def test_what_looks_like_a_credential_is_left_out_wherever_it_comes_from(
    text: str, shown: str
) -> None:
    assert without_secrets(text, ()) == shown


@given(st.text(min_size=6), st.text(), st.text())
def test_no_secret_survives(secret: str, before: str, after: str) -> None:
    assume("…" not in secret)
    assert secret not in without_secrets(before + secret + after, {secret})


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (b"", ""),
        (b"\n\n", ""),
        (b"Traceback\n  File\nKeyError: 1\n\n", "KeyError: 1"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"Node.js v20.20.2", "Node.js v20.20.2"),
        (b"Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nrefused", "refused"),
        (b"Picked up JAVA_TOOL_OPTIONS: -Xmx1g", ""),
        (
            b"refused: no answer from https://localhost/x",
            "refused: no answer from https://localhost/x",
        ),
        (b"error: of long ago\n" + b"step\n" * 50 + b"giving up\n", "giving up"),
    ],
)
def test_the_last_line_is_what_is_quoted(output: bytes, line: str) -> None:
    assert last_line(output) == line


# As the stacks print them; paths shortened.
_GRPCIO = """\
Traceback (most recent call last):
  File "/app/client.py", line 4, in <module>
    f(b"",timeout=3)
  File "/app/site-packages/grpc/_channel.py", line 999, in _end_unary_response_blocking
    raise _InactiveRpcError(state)  # pytype: disable=not-instantiable
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated with:
	status = StatusCode.UNAVAILABLE
	details = "failed to connect to all addresses; last error: UNKNOWN: Connection refused"
	debug_error_string = "UNAVAILABLE:failed to connect to all addresses; last error: UNKNOWN"
>
"""
_ASYNC_GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "/app/client.py", line 6, in <module>
  |     asyncio.run(m())
  |     raise me from None
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/app/client.py", line 2, in a
    |     async def a(): raise ValueError("why")
    |                    ^^^^^^^^^^^^^^^^^^^^^^^
    | ValueError: why
    +------------------------------------
"""
_NOTE = """\
Traceback (most recent call last):
  File "/app/client.py", line 1, in <module>
    raise e
app.Refused: the certificate
See https://example.com/certificates
"""
_NODE = """\
node:events:502
      throw er; // Unhandled 'error' event
      ^

Error: connect ECONNREFUSED 127.0.0.1:1
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)
Emitted 'error' event on ClientRequest instance at:
    at emitErrorEvent (node:_http_client:101:11)
    at process.processTicksAndRejections (node:internal/process/task_queues:82:21) {
  errno: -111,
  code: 'ECONNREFUSED',
  port: 1
}

Node.js v20.20.2
"""
_NODE_CAUSE = """\
/app/client.js:1
const e=new Error("outer"); throw e;
                            ^

Error: outer
    at Object.<anonymous> (/app/client.js:1:9)
    ... 4 lines matching cause stack trace ...
    at node:internal/main/run_main_module:28:49 {
  [cause]: Error: self-signed certificate in chain
      at Object.<anonymous> (/app/client.js:1:35)
      at node:internal/main/run_main_module:28:49
}

Node.js v20.20.2
"""
_JAVA = """\
Exception in thread "main" java.lang.RuntimeException: UNAVAILABLE: io exception
	at Client.main(Client.java:2)
Caused by: java.lang.IllegalStateException: PKIX path building failed: no valid path
	at Client.deep(Client.java:1)
	at Client.deep(Client.java:1)
	... 12 more
"""
_GO = """\
warming up
panic: tls: failed to verify certificate

goroutine 1 [running]:
main.main()
	/app/client.go:6 +0x19f
exit status 2
"""
_GO_LOG = "2026/11/26 17:24:24 rpc error: code = Unavailable desc = x509: bad\n"
_RUST = """\

thread 'main' (6333) panicked at client.rs:1:95:
called `Result::unwrap()` on an `Err` value: "invalid peer certificate"
stack backtrace:
   0: __rustc::rust_begin_unwind
             at /rustc/59807616e1fa/library/std/src/panicking.rs:689:5
   1: core::panicking::panic_fmt
   3: r::main
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
"""
_RUST_OLD = "thread 'main' panicked at 'invalid peer certificate', client.rs:1:95\n" + (
    "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n"
)
_CURL = """\
curl: (60) SSL certificate problem: self-signed certificate
More details here: https://curl.se/docs/sslcerts.html

curl failed to verify the legitimacy of the server and therefore could not
establish a secure connection to it. To learn more about this situation and
how to fix it, please visit the web page mentioned above.
"""
_DOTNET = """\
Unhandled exception. System.Net.Http.HttpRequestException: The SSL connection could not be made.
 ---> System.Security.Authentication.AuthenticationException: The certificate is invalid
   at System.Net.Security.SslStream.SendAuthResetSignal(ReadOnlySpan`1 alert)
   --- End of inner exception stack trace ---
   at Client.Main() in /app/Client.cs:line 5
"""
_CPP = """\
client.cc: In function 'int main()':
client.cc:5:12: error: expected ';' before 'return'
    5 |   send(call)
      |             ^
      |             ;
compilation terminated due to -fmax-errors=1.
"""
_LINKER = """\
/usr/bin/ld: /tmp/ccgiEXdt.o: in function `main':
client.cc:(.text+0x16): undefined reference to `helper(int)'
collect2: error: ld returned 1 exit status
"""
_CLANG_LINKER = _LINKER.replace(
    "collect2: error: ld returned 1 exit status",
    "clang: error: linker command failed with exit code 1 (use -v to see invocation)",
)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            _GRPCIO,
            "grpc._channel._InactiveRpcError: UNAVAILABLE: failed to connect to all addresses; "
            "last error: UNKNOWN: Connection refused",
        ),
        (_ASYNC_GROUP, "ValueError: why"),
        (_NOTE, "app.Refused: the certificate"),
        (_NODE, "Error: connect ECONNREFUSED 127.0.0.1:1"),
        (_NODE_CAUSE, "[cause]: Error: self-signed certificate in chain"),
        (
            _JAVA,
            "Caused by: java.lang.IllegalStateException: PKIX path building failed: no valid path",
        ),
        (_GO, "panic: tls: failed to verify certificate"),
        (_GO_LOG, _GO_LOG.strip()),
        (_RUST, 'called `Result::unwrap()` on an `Err` value: "invalid peer certificate"'),
        (_RUST_OLD, "thread 'main' panicked at 'invalid peer certificate', client.rs:1:95"),
        (_CURL, "curl: (60) SSL certificate problem: self-signed certificate"),
        (
            _DOTNET,
            "---> System.Security.Authentication.AuthenticationException: "
            "The certificate is invalid",
        ),
        (_CPP, "client.cc:5:12: error: expected ';' before 'return'"),
        (_LINKER, "client.cc:(.text+0x16): undefined reference to `helper(int)'"),
        (_CLANG_LINKER, "client.cc:(.text+0x16): undefined reference to `helper(int)'"),
    ],
    ids=[
        "grpcio",
        "group",
        "note",
        "node",
        "node-cause",
        "java",
        "go",
        "go-log",
        "rust",
        "rust-old",
        "curl",
        "dotnet",
        "cpp",
        "linker",
        "clang-linker",
    ],
)
def test_the_line_that_says_why_is_found(output: str, line: str) -> None:
    assert last_line(output.encode()) == line
    assert any(line in each for each in last_lines(output.encode()))


_LATER = {
    "slog": (
        '2026/11/26 19:11:08 ERROR call failed err="x509: unknown authority"\n'
        "2026/11/26 19:11:08 INFO stopping\n"
    ),
    "json": (
        '{"level": "error", "msg": "call failed", "err": "unknown authority"}\n'
        '{"level": "info", "msg": "bye"}\n'
    ),
    "pino": '{"level":50,"err":"unknown authority"}\n{"level":30,"msg":"bye"}\n',
    "logfmt": 'level=error err="unknown authority"\nlevel=info msg=bye\n',
    "logging": "ERROR:root:unknown authority\nINFO:root:bye\n",
    "colours": "\x1b[31mERROR\x1b[0m unknown authority\r\n\x1b[32mINFO\x1b[0m bye\r\n",
    "no level": "E: unknown authority\n" + "10:00:39 [main] INFO  pool - worker stopped\n" * 40,
    "progress": "\r[##  ] 40%\rfailed: unknown authority" + "\r[####] 100% cleaning" * 20,
}


@pytest.mark.parametrize("output", _LATER.values(), ids=_LATER)
def test_what_is_told_in_passing_is_not_why(output: str) -> None:
    assert "unknown authority" in last_line(output.encode())
    assert any("unknown authority" in line for line in last_lines(output.encode()))


def test_of_a_log_that_tells_all_in_passing_the_last_line_is_quoted() -> None:
    """The twin: or else nothing would be shown of it."""
    assert last_line(b"INFO begin\nINFO gave up\n") == "INFO gave up"
    assert last_lines(b"INFO begin\nINFO gave up\n") == ("INFO begin", "INFO gave up")


def test_of_a_bar_that_is_written_over_what_remains_is_kept() -> None:
    assert last_lines(b"\r[#   ]\r[##  ]\r[####] done\r\nbye\r\n") == ("[####] done", "bye")


def test_a_warning_does_not_hide_a_reason_that_is_printed_elsewhere() -> None:
    warning, reason = b"(node:1) Warning: this is odd\n", b"calling\nError: unknown authority\n"
    assert last_line(warning, reason) == "Error: unknown authority"
    assert last_lines(warning, reason) == ("calling", "Error: unknown authority")
    assert last_line(warning, b"calling\n") == "(node:1) Warning: this is odd"
    assert last_line(b"", b"calling\n") == "calling"
    assert last_line(b"panic: no\n", reason) == "panic: no"


def test_the_last_few_lines_are_kept() -> None:
    assert last_lines(b"a\n\nb\n c\nd\ne\nf\n>\n") == ("b", " c", "d", "e", "f")
    assert last_lines(b"") == ()


def test_a_private_key_is_not_among_the_last_lines() -> None:
    key = "\n".join(
        ["-----BEGIN EC PRIVATE KEY-----", *["c2VjcmV0" * 8] * 9, "-----END EC PRIVATE KEY-----"]
    )
    assert "c2VjcmV0" not in "".join(last_lines(f"{key}\nno such file\n".encode()))
    assert last_line(key.encode()) == "…"


@given(st.text(alphabet="a. Errorpanic:<>()/\n\tat0d", max_size=300))
def test_of_any_output_a_line_is_quoted(output: str) -> None:
    line = last_line(output.encode())
    assert bool(line) == bool(output.strip())
    assert "\n" not in line
    assert len(last_lines(output.encode())) <= 5


def test_what_is_long_keeps_its_beginning_and_its_end() -> None:
    text = "UNAVAILABLE: " + "somewhere; " * 100 + "CERTIFICATE_VERIFY_FAILED"
    shown = shortened(text)
    assert shown.startswith("UNAVAILABLE")
    assert shown.endswith("CERTIFICATE_VERIFY_FAILED")
    assert len(shown) < len(text)
    assert shortened("x" * QUOTED) == "x" * QUOTED


@given(st.integers(0, 600), st.integers(0, 600))
def test_no_word_is_cut_in_two(before: int, after: int) -> None:
    word = "c2VjcmV0" * 8
    shown = shortened(f"{'a ' * before}{word}{' b' * after}")
    assert word in shown or "c2V" not in shown
    assert len(shown) <= QUOTED + 2
