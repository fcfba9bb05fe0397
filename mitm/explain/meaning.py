"""What can be wrong when a client says that it could not connect, and what to do about it.

No remedy switches verification off. What a client lacks that says nothing at all is another matter:
`mitm.audit.fixes`.
"""

import re
from typing import Literal, NamedTuple, get_args

Name = Literal[
    "issuer",
    "name",
    "dates",
    "signature",
    "key",
    "ca-limits",
    "purpose",
    "weak",
    "unreadable",
    "revocation",
    "protocol",
    "alpn",
    "plaintext",
    "interrupted",
    "client-certificate",
    "client-refused",
    "ca-file",
    "unusual",
    "nobody-there",
    "no-such-host",
    "no-answer",
]
NAMES: tuple[Name, ...] = get_args(Name)


class Meaning(NamedTuple):
    """One thing that can be wrong.

    Attributes:
        says: what, in a sentence.
        remedy: what to do about it, in any stack.
    """

    says: str
    remedy: str


MEANINGS: dict[Name, Meaning] = {
    "issuer": Meaning(
        "nothing leads from the server's certificate to a CA that the client trusts",
        "give the client the CA that has really signed the server's certificate, and let the "
        "server send its intermediate certificates; a certificate that nobody can account for is "
        "an attack until you know better",
    ),
    "name": Meaning(
        "the certificate is for another name than the one that was dialled",
        "dial a name that stands in the certificate, or have one issued with that name (or "
        "address) as subject alternative name",
    ),
    "dates": Meaning(
        "the certificate, or one above it, has expired or is not valid yet",
        "look at the client's clock; then renew the certificate, or the CA above it",
    ),
    "signature": Meaning(
        "a signature in the chain was not made by the CA that it names",
        "look for two CAs of one name (an old and a new one): give the client the one that has "
        "signed; otherwise somebody has changed the certificate",
    ),
    "key": Meaning(
        "the server does not hold the key of the certificate that it shows",
        "see to it that certificate and key on the server belong together; otherwise somebody "
        "shows a certificate that is not his",
    ),
    "ca-limits": Meaning(
        "a certificate in the chain is no CA's, or its CA must not sign for this",
        "issue the certificate by a CA whose basic constraints, key usage, path length and name "
        "constraints allow it",
    ),
    "purpose": Meaning(
        "the certificate is not for a TLS server",
        "issue it with serverAuth as extended key usage, and digitalSignature as key usage",
    ),
    "weak": Meaning(
        "a key is too short, or a signature made with a hash that is broken",
        "issue it with a key of 2048 bits (RSA) or P-256, signed with SHA-256",
    ),
    "unreadable": Meaning(
        "something in the certificate cannot be read, or is critical and not understood",
        "look at it with openssl x509 -text, and issue it without what this stack does not know",
    ),
    "revocation": Meaning(
        "there is no proof that the certificate was not revoked",
        "let the server staple an OCSP answer, or issue the certificate without must-staple",
    ),
    "protocol": Meaning(
        "client and server have no version of TLS, or no cipher suite, in common",
        "let the server speak TLS 1.2 or newer with its default suites",
    ),
    "alpn": Meaning(
        "the server has not agreed to HTTP/2 (ALPN h2)",
        "let the server, or the proxy in front of it, offer h2; a port for HTTP/1.1 is another one",
    ),
    "plaintext": Meaning(
        "the server answers without TLS",
        "dial the port that speaks TLS, or switch TLS on in the server; do not switch it off in "
        "the client",
    ),
    "interrupted": Meaning(
        "the connection was closed, or reset, before TLS was agreed on or just after",
        "look at the server's own log, and for a proxy or firewall in between; a server that asks "
        "for a client certificate ends it like this, too",
    ),
    "client-certificate": Meaning(
        "the server refused the client's certificate, or misses one (mutual TLS)",
        "give the client its certificate and key; look whether the certificate is of a CA that the "
        "server takes for clients, at its dates, and that its purpose allows clientAuth: mitm-demo "
        "show mutual-tls",
    ),
    "client-refused": Meaning(
        "if this stands in a server's log, it is the other way round: the client refused the "
        "server's certificate",
        "look at what that client says itself: it knows why; an alert says no more than this",
    ),
    "ca-file": Meaning(
        "the file with the CA is missing, or is none",
        "look at the path, and at what is in the file: PEM, BEGIN CERTIFICATE",
    ),
    "unusual": Meaning(
        "the certificate is sound, but of a kind that this stack does not take",
        "issue a plainer one: a key of the usual size and kind, a positive serial number, "
        "serverAuth alone as purpose",
    ),
    "nobody-there": Meaning(
        "nothing listens at that address",
        "look whether the server runs, at which port, and what is in between",
    ),
    "no-such-host": Meaning(
        "the name that was dialled has no address",
        "look at the spelling of the name, and at DNS",
    ),
    "no-answer": Meaning(
        "the server did not answer in time",
        "look whether the server, and its port for TLS, can be reached from there; a client that "
        "was refused and tries again until its deadline says this as well: its log tells why",
    ),
}

# Of what is told apart by its version, `grpcio-1.66`.
_VERSION = re.compile(r"-[\d.]+$")

# In the stack's own words. What is not here is mended on the server.
_REMEDIES: dict[tuple[Name, str], str] = {
    ("issuer", "grpcio"): (
        "grpc.ssl_channel_credentials(root_certificates=open(CA, 'rb').read()); None means the "
        "roots that come with grpcio"
    ),
    ("issuer", "grpc-c++"): "SslCredentialsOptions.pem_root_certs, or TlsChannelCredentialsOptions "
    "with a certificate provider",
    ("issuer", "grpclib"): "ssl.create_default_context(cafile=CA) as Channel(ssl=…)",
    ("issuer", "python"): "ssl.create_default_context(cafile=CA); in requests and httpx: verify",
    ("issuer", "grpc-go"): 'credentials.NewClientTLSFromFile(CA, ""), or RootCAs in tls.Config',
    ("issuer", "go"): "RootCAs in tls.Config",
    ("issuer", "grpc-js"): "credentials.createSsl(fs.readFileSync(CA))",
    ("issuer", "node"): "the option ca, or NODE_EXTRA_CA_CERTS",
    ("issuer", "grpc-java"): "TlsChannelCredentials.newBuilder().trustManager(CA)",
    ("issuer", "java"): "a trust store with the CA: javax.net.ssl.trustStore",
    ("issuer", "tonic"): "ClientTlsConfig::new().ca_certificate(CA)",
    ("issuer", "curl"): "--cacert CA",
    ("client-certificate", "grpcio"): "private_key and certificate_chain of "
    "grpc.ssl_channel_credentials",
    ("client-certificate", "grpc-c++"): "pem_private_key and pem_cert_chain of "
    "SslCredentialsOptions",
    ("client-certificate", "grpclib"): "load_cert_chain of the SSLContext",
    ("client-certificate", "python"): "load_cert_chain of the SSLContext; in requests and httpx: "
    "cert",
    ("client-certificate", "grpc-go"): "Certificates in tls.Config; Go presents none of an issuer "
    "that the server does not name",
    ("client-certificate", "go"): "Certificates in tls.Config; Go presents none of an issuer "
    "that the server does not name",
    ("client-certificate", "grpc-js"): "credentials.createSsl(CA, KEY, CERTIFICATE)",
    ("client-certificate", "node"): "the options key and cert",
    (
        "client-certificate",
        "grpc-java",
    ): "TlsChannelCredentials.newBuilder().keyManager(CERTIFICATE, KEY)",
    ("client-certificate", "java"): "a key store: javax.net.ssl.keyStore",
    ("client-certificate", "tonic"): "ClientTlsConfig::new().identity(Identity::from_pem(…))",
    ("client-certificate", "curl"): "--cert FILE --key FILE",
    ("name", "grpcio"): "dial the name itself; grpc.ssl_target_name_override is for tests",
    ("name", "grpc-c++"): "dial the name itself; SetSslTargetNameOverride is for tests",
    ("name", "grpclib"): "dial the name itself, or server_hostname",
    ("name", "grpc-go"): "dial the name itself, or ServerName in tls.Config",
    ("name", "go"): "dial the name itself, or ServerName in tls.Config",
    ("name", "grpc-js"): "dial the name itself; leave checkServerIdentity alone",
    ("name", "node"): "dial the name itself, or servername; leave checkServerIdentity alone",
    ("name", "grpc-java"): "dial the name itself, or overrideAuthority with the right name",
    ("name", "tonic"): "dial the name itself, or ClientTlsConfig::domain_name",
    ("name", "curl"): "dial the name itself, or --connect-to",
    ("plaintext", "curl"): "the port that speaks TLS; https:// as it is",
    (
        "ca-file",
        "grpc-go",
    ): "look at the error of os.ReadFile, and at what AppendCertsFromPEM returns",
    ("ca-file", "curl"): "the file behind --cacert: it has to be PEM",
}


def own_remedy(name: Name, stack: str) -> str:
    """What to do about it in the words of a stack, "" where it is mended elsewhere.

    Args:
        name: of what is wrong.
        stack: `grpc-go`, say.
    """
    return _REMEDIES.get((name, _VERSION.sub("", stack)), "")
