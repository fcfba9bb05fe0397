"""The files of attacks, and what each connection meets: errors, stages, positions."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from mitm import audit, content
from mitm.audit.attack import Attack, load_attack
from mitm.audit.case import Case, load_entry
from mitm.audit.play import MAX_POSITIONS, Script, plays_of, positions
from mitm.errors import UserError
from mitm.evidence import Evidence, Kind, Observation
from mitm.pki import Unsupported
from mitm.tls import Hello

HEAD = "title: Mine\nforgeries: [attacker-ca]\n"


def written(path: Path, text: str, name: str = "mine.md") -> Path:
    file = path / name
    file.write_text(f"---\n{text}---\nThe lesson.\n")
    return file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title: Mine\n", "plays: give them"),
        (HEAD, "plays: give them"),
        (HEAD + "each_position: true\nplays: [[{present: forged}]]\n", "plays: give them"),
        (HEAD + "plays: [[]]\n", "plays[0]: each step but the last has an end"),
        (
            HEAD + "plays: [[{present: forged}], [{present: forged, connections: 1}]]\n",
            "plays[1]: each step but the last has an end",
        ),
        (
            HEAD + "plays: [[{present: genuine}, {present: forged}]]\n",
            "plays[0]: each step but the last has an end",
        ),
        (HEAD + "plays: [[{present: genuine}]]\n", "plays[0]: it attacks nothing"),
        ("title: Mine\nplays: [[{present: forged}]]\n", "forgeries: name them"),
        (HEAD + "plays: [[{present: expired}]]\n", "forgeries: name them"),
        (HEAD + "plays: [[{}]]\n", "plays[0][0]"),
        (HEAD + "plays: [[{present: forged, handshake: reset}]]\n", "present: a step shows"),
        (HEAD + "plays: [[{handshake: reset, then: cut}]]\n", "then: without a handshake"),
        (HEAD + "plays: [[{present: forged, connections: 0}]]\n", "connections"),
        (
            HEAD + "plays: [[{present: forged, connections: 1, calls: 1}, {present: forged}]]\n",
            "calls: a step lasts for connections or for calls",
        ),
        (HEAD + "plays: [[{present: forged, then: explode}]]\n", "then"),
        (HEAD + "plays: [[{presents: forged}]]\n", "presents"),
        (HEAD + "plays: [[{present: attacker}, {present: forged}]]\n", "plays[0]"),
        ("title: Mine\nplays: [[{present: nobody}]]\n", "is called 'nobody'"),
        (HEAD + "plays: [[{present: forged}]]\nfamily: trust\n", "family"),
        (HEAD + "plays: [[{present: forged}]]\nexpect: reject\n", "expect"),
    ],
)
def test_a_file_with_a_mistake_is_told_by_file_and_key(
    tmp_path: Path, text: str, said: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_attack(str(file))
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "forgeries: [attacker-ca, rsa-leaf]\neach_position: true\n",
        "forgeries: [genuine]\nplays: [[{present: forged}]]\n",
        "plays: [[{present: genuine, connections: 1}, {present: intermediate}]]\n",
        "forgeries: [genuine]\nca: crlf\n",
    ],
)
def test_what_a_correct_client_accepts_is_no_forgery(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, f"title: Mine\n{text}")
    with pytest.raises(UserError, match=r"mine\.md: '[a-z-]+' is no forgery"):
        load_attack(str(file))


def test_the_genuine_certificate_is_as_good_as_forged_for_who_has_lost_its_ca(
    tmp_path: Path,
) -> None:
    file = written(tmp_path, "title: Mine\nforgeries: [genuine]\nca: missing\n")
    assert load_attack(str(file)).forgeries == ("genuine",)


def test_what_a_lesson_says_makes_no_attack_of_a_certificate(tmp_path: Path) -> None:
    file = tmp_path / "mine.md"
    file.write_text(
        "---\ntitle: Mine\nexpect: reject\nseverity: should\nchain: [{}]\n---\nIt has a\nca: no.\n"
    )
    assert load_entry(str(file)).name == "mine"


def test_a_file_of_ones_own_is_played(tmp_path: Path) -> None:
    text = HEAD + "plays: [[{present: genuine, connections: 1}, {present: forged}]]\n"
    file = written(tmp_path, text)
    entries = audit.with_own(audit.catalogue(), [str(file)])
    (mine,) = audit.select(entries, [str(file)])
    assert isinstance(mine, Attack)
    (case,) = audit.forge_suite([mine]).cases
    assert set(case.chains) == {"genuine", "attacker-ca"}
    assert case.lesson == "The lesson.\n"


def test_a_name_that_is_taken_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + "plays: [[{present: forged}]]\n", "reconnect.md")
    with pytest.raises(UserError, match="another certificate or attack is called 'reconnect'"):
        audit.with_own(audit.catalogue(), [str(file)])


@pytest.mark.parametrize("name", content.markdown_files(content.ATTACKS))
def test_each_attack_of_the_catalogue_is_whole(name: str) -> None:
    attack = load_attack(name)
    assert all((attack.title, attack.rule, attack.fix, attack.cwe, attack.lesson.strip()))
    (case,) = audit.forge_suite([attack]).cases
    assert case.chains.keys() >= attack.certificates


def test_what_cannot_be_made_for_a_name_is_left_out(tmp_path: Path) -> None:
    """`parent-domain` takes a name of three labels."""
    play = "plays: [[{present: genuine, connections: 1}, {present: forged}]]\n"
    both = load_attack(
        str(written(tmp_path, f"title: Mine\nforgeries: [expired, parent-domain]\n{play}"))
    )
    (case,) = audit.forge_suite([both]).cases
    assert not case.unsupported
    assert [each.forgery for each in plays_of(case)] == ["expired"]
    none = load_attack(str(written(tmp_path, f"title: Mine\nforgeries: [parent-domain]\n{play}")))
    (case,) = audit.forge_suite([none]).cases
    assert "too few labels" in case.unsupported


# What the connections meet


def case_of(name: str) -> Case:
    (case,) = audit.forge_suite([load_attack(name)]).cases
    return case


def hello(alpn: str = "h2") -> Hello:
    return Hello(server_name="localhost", alpn=(alpn,), versions=("TLSv1.3",), cipher_suites=("A",))


def met(script: Script, *hellos: Hello) -> list[str]:
    """What these connections are shown, and how they are interrupted."""
    treatments = [script.treat(each) for each in hellos]
    return [
        " ".join(filter(None, (t.presented.chain.name if t.presented else t.handshake, t.then)))
        for t in treatments
    ]


@pytest.mark.parametrize(
    ("name", "number", "shown"),
    [
        ("second-connection", 0, ["genuine", "attacker-ca", "attacker-ca"]),
        ("first-connection", 0, ["attacker-ca", "genuine", "genuine"]),
        ("first-connection", 3, ["attacker-ca", "genuine", "attacker-ca"]),
        ("reconnect", 6, ["genuine goaway", "genuine reset", "attacker-ca"]),
        ("handshake-reset", 3, ["reset", "reset", "attacker-ca"]),
        ("late-forgery", 2, ["genuine cut", "expired", "expired"]),
        ("no-tls-today", 0, ["refused", "plaintext-http2", "plaintext-http2"]),
    ],
)
def test_a_play_in_its_steps(name: str, number: int, shown: list[str]) -> None:
    script = Script(plays_of(case_of(name))[number])
    assert met(script, hello(), hello(), hello()) == shown
    assert script.complete


def test_a_call_is_a_step_whatever_its_connections() -> None:
    script = Script(plays_of(case_of("same-process"))[0])
    assert script.genuine
    assert met(script, hello(), hello()) == ["genuine", "genuine"]
    assert not script.complete
    script.called()
    assert not script.genuine
    script.called()
    assert met(script, hello()) == ["attacker-ca"]
    assert script.complete


def control(*made: Kind, data: Sequence[Kind] = ()) -> Observation:
    return Observation("sent", "", Evidence("messages"), made=made, kinds=tuple(data))


def kind(alpn: str = "h2") -> Kind:
    return Kind((("TLSv1.3",), (alpn,), ("A",)), "HTTP/2")


def test_whoever_makes_one_connection_has_no_position() -> None:
    assert positions(None) == []
    assert positions(control(kind())) == []
    assert plays_of(case_of("at-position"), control(kind())) == []


def test_each_position_is_attacked_by_itself_and_found_by_what_it_offers() -> None:
    other = kind("http/1.1")
    plays = plays_of(case_of("at-position"), control(other, kind(), kind(), data=[kind()]))
    first_forgery = [plays[0], *(p for n, p in enumerate(plays) if plays[n - 1].group != p.group)]
    by_position = {str(play.position): play for play in first_forgery if play.position}
    assert list(by_position) == [f"connection {n} of 3" for n in (1, 2, 3)]
    carries = [p.position.carries_data for p in by_position.values() if p.position]
    assert carries == [False, True, True]
    # In whatever order they come this time.
    order = [hello(), hello("http/1.1"), hello()]
    shown = [met(Script(play), *order) for play in by_position.values()]
    assert shown == [
        ["genuine", "attacker-ca", "genuine"],
        ["attacker-ca", "genuine", "genuine"],
        ["genuine", "genuine", "attacker-ca"],
    ]


def test_what_is_given_up_in_the_handshake_is_counted_and_not_attacked() -> None:
    given_up = Kind(kind().offer, "")
    assert positions(control(given_up, kind())) == []
    chosen = positions(control(given_up, kind(), kind()))
    assert [(position.number, position.nth) for position in chosen] == [(2, 2), (3, 3)]


def test_of_many_connections_the_first_of_each_kind_and_the_last_are_attacked() -> None:
    made = [kind()] * 20 + [kind("http/1.1")] + [kind()] * 20
    chosen = positions(control(*made))
    assert len(chosen) == MAX_POSITIONS
    numbers = [position.number for position in chosen]
    assert numbers == sorted(numbers)
    assert {1, 21, 41} <= set(numbers)


def test_of_a_loop_no_connection_is_the_last() -> None:
    looped = msgspec.structs.replace(control(*[kind()] * 20), end="still-running")
    chosen = positions(looped)
    assert [position.number for position in chosen] == list(range(1, MAX_POSITIONS + 1))
    assert str(chosen[1]) == "connection 2"
    # One that comes to its end has a last one.
    assert positions(control(*[kind()] * 20))[-1].number == 20


def test_sessions_are_not_resumed_with_another_kind_of_key(tmp_path: Path) -> None:
    text = (
        "title: Mine\nresume: true\n"
        "plays: [[{present: genuine, connections: 1}, {present: rsa-1024}]]\n"
    )
    (case,) = audit.forge_suite([load_attack(str(written(tmp_path, text)))]).cases
    with pytest.raises(Unsupported, match="keys of one kind"):
        Script(plays_of(case)[0], resumable=True)
