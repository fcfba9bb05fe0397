"""What to change in a client, by what is wrong with it and what it is made of.

What a cause says is in `mitm.audit.cause`.
"""

from mitm.audit.stack import Stack

# The TLS of these is that of the runtime beneath: what is said of it holds for them as well.
_RUNTIMES: dict[Stack, Stack] = {
    "grpclib": "python",
    "grpc-go": "go",
    "grpc-js": "node",
    "grpc-java": "java",
}


def fix_of(cause: str, stack: Stack) -> str:
    """What to change in a client of a stack, for a cause.

    Args:
        cause: its name.
        stack: of the client; "" for what holds in any.

    Returns:
        The advice for this stack, or for the runtime beneath it; "" if there is none of its own.
    """
    return _FIXES.get((cause, stack)) or _FIXES.get((cause, _RUNTIMES.get(stack, stack)), "")


_FIXES: dict[tuple[str, Stack], str] = {
    # No TLS
    ("no-tls", ""): "Connect with TLS, give the client the CA to trust, and leave verification on",
    ("no-tls", "grpcio"): (
        "Use grpc.secure_channel with grpc.ssl_channel_credentials(root_certificates=CA) in place "
        "of grpc.insecure_channel"
    ),
    ("no-tls", "grpclib"): (
        "Give Channel ssl=ssl.create_default_context(cafile=CA); without `ssl` it uses none"
    ),
    ("no-tls", "grpc-go"): (
        "Use credentials.NewClientTLSFromFile, or credentials.NewTLS, in place of "
        "insecure.NewCredentials"
    ),
    ("no-tls", "grpc-js"): (
        "Use credentials.createSsl(rootCerts) in place of credentials.createInsecure"
    ),
    ("no-tls", "grpc-java"): (
        "Build the channel with TlsChannelCredentials, and without usePlaintext()"
    ),
    ("no-tls", "grpc-c++"): (
        "Use grpc::SslCredentials with pem_root_certs in place of InsecureChannelCredentials"
    ),
    ("no-tls", "grpc-dotnet"): "Give GrpcChannel.ForAddress an https:// address",
    ("no-tls", "tonic"): (
        "Give the Endpoint an https:// address and tls_config(ClientTlsConfig with ca_certificate)"
    ),
    ("no-tls", "curl"): "Ask for an https:// URL, with --cacert",
    ("plaintext-fallback", ""): ("Never fall back to plaintext when TLS fails: let the call fail"),
    # No verification
    ("no-verification", ""): (
        "Switch certificate verification and the name check on, which are on by default, and give "
        "the client the CA to trust"
    ),
    ("no-verification", "grpcio"): (
        "Give grpc.ssl_channel_credentials the CA's own PEM file as root_certificates, and set no "
        "grpc.ssl_target_name_override"
    ),
    ("no-verification", "grpclib"): (
        "Use ssl.create_default_context(cafile=CA) as it is: no CERT_NONE, no check_hostname=False"
    ),
    ("no-verification", "python"): (
        "Use ssl.create_default_context(cafile=CA) as it is: no CERT_NONE, no "
        "check_hostname=False, no verify=False"
    ),
    ("no-verification", "grpc-go"): (
        "Remove InsecureSkipVerify: credentials.NewTLS(&tls.Config{RootCAs: pool})"
    ),
    ("no-verification", "go"): "Remove InsecureSkipVerify: tls.Config{RootCAs: pool}",
    ("no-verification", "grpc-js"): (
        "Remove rejectUnauthorized: false and NODE_TLS_REJECT_UNAUTHORIZED=0: "
        "credentials.createSsl(rootCerts)"
    ),
    ("no-verification", "node"): (
        "Remove rejectUnauthorized: false and NODE_TLS_REJECT_UNAUTHORIZED=0, and give `ca`"
    ),
    ("no-verification", "grpc-java"): (
        "Remove InsecureTrustManagerFactory, or the X509TrustManager that does nothing: "
        "TlsChannelCredentials.newBuilder().trustManager(caFile)"
    ),
    ("no-verification", "java"): (
        "Remove the X509TrustManager and the HostnameVerifier that do nothing: trust the CA by a "
        "KeyStore"
    ),
    ("no-verification", "grpc-c++"): (
        "Use grpc::SslCredentials with pem_root_certs, which has no switch for it, in place of "
        "TlsCredentials without verification (set_verify_server_certs, NoOpCertificateVerifier)"
    ),
    ("no-verification", "grpc-dotnet"): (
        "Remove the callback that returns true (DangerousAcceptAnyServerCertificateValidator)"
    ),
    ("no-verification", "tonic"): (
        "Remove the ServerCertVerifier that accepts everything (dangerous()): "
        "ClientTlsConfig::new().ca_certificate(ca)"
    ),
    ("no-verification", "rust"): (
        "Remove the ServerCertVerifier that accepts everything (dangerous()), or "
        "danger_accept_invalid_certs(true), and give the CA as a root certificate"
    ),
    ("no-verification", "curl"): "Remove --insecure (-k), and give --cacert",
    # Any issuer
    ("any-issuer", ""): (
        "Leave verification on, and give the client the CA that really signs the server's "
        "certificates; never take it from what the server sends"
    ),
    ("any-issuer", "grpcio"): (
        "Give grpc.ssl_channel_credentials the CA's own PEM file as root_certificates, not what "
        "ssl.get_server_certificate has fetched from the server"
    ),
    ("any-issuer", "python"): (
        "Use ssl.create_default_context(cafile=CA), with the CA's own file and no CERT_NONE"
    ),
    ("any-issuer", "go"): (
        "Remove InsecureSkipVerify and set RootCAs; a VerifyConnection of your own must call "
        "Certificate.Verify with Roots"
    ),
    ("any-issuer", "grpc-js"): (
        "Remove rejectUnauthorized: false, and give credentials.createSsl the CA as rootCerts"
    ),
    ("any-issuer", "node"): "Remove rejectUnauthorized: false, and give `ca`",
    ("any-issuer", "grpc-java"): (
        "Give TlsChannelCredentials trustManager(caFile), in place of a TrustManager of your own"
    ),
    ("any-issuer", "grpc-c++"): (
        "Give SslCredentialsOptions::pem_root_certs the CA's own PEM file, never a certificate "
        "that was fetched from the server; leave set_verify_server_certs alone"
    ),
    ("any-issuer", "tonic"): (
        "Give ClientTlsConfig the CA (ca_certificate), in place of a ServerCertVerifier of your own"
    ),
    ("any-issuer", "curl"): "Remove --insecure (-k), and give --cacert",
    # No name check
    ("no-name-check", ""): (
        "Switch host name checking on, against the name that was dialled; in gRPC, do not override "
        "the target name outside of tests"
    ),
    ("no-name-check", "grpcio"): (
        "Set no grpc.ssl_target_name_override, least of all from the server's own certificate: "
        "dial the name"
    ),
    ("no-name-check", "python"): "Leave check_hostname of the SSLContext at True",
    ("no-name-check", "go"): (
        "Set ServerName in place of InsecureSkipVerify; a VerifyConnection of your own must call "
        "Certificate.Verify with DNSName"
    ),
    ("no-name-check", "node"): "Remove the checkServerIdentity that does nothing",
    ("no-name-check", "grpc-java"): (
        "Use an X509ExtendedTrustManager that is the JDK's own, and no overrideAuthority that "
        "skips the check"
    ),
    ("no-name-check", "java"): (
        'Call SSLParameters.setEndpointIdentificationAlgorithm("HTTPS"): an SSLSocket alone does '
        "not check names"
    ),
    ("no-name-check", "grpc-c++"): (
        "Use grpc::SslCredentials, or a HostNameCertificateVerifier and check_call_host, in place "
        "of a NoOpCertificateVerifier; do not call SetSslTargetNameOverride outside of tests"
    ),
    ("no-name-check", "tonic"): (
        "Remove the ServerCertVerifier that ignores the name, and give domain_name the right one"
    ),
    # No dates
    ("no-dates", ""): (
        "Check both ends of the validity period, with a clock that is right; renew certificates by "
        "machine, not by exception"
    ),
    ("no-dates", "python"): (
        "Remove X509_V_FLAG_NO_CHECK_TIME from verify_flags, or the except that goes on after it"
    ),
    # Checks that are made, but not well
    ("untrusted-path", ""): (
        "Let the TLS library build and verify the path, with the CA from your own configuration"
    ),
    ("other-roots", ""): (
        "Begin with an empty set of roots, and put in nothing but the CA that the client is given"
    ),
    ("other-roots", "python"): (
        "Give the CA to ssl.create_default_context itself (cafile): load_verify_locations adds to "
        "the system's roots"
    ),
    ("other-roots", "go"): "Begin with x509.NewCertPool, not with x509.SystemCertPool",
    ("other-roots", "tonic"): (
        "Leave out with_native_roots and with_webpki_roots: they add to ca_certificate"
    ),
    ("no-signature-check", ""): (
        "Let the TLS library verify the path, keep it up to date, and treat every result but "
        "success as failure"
    ),
    ("no-possession", ""): "Update the TLS library; nothing in an application can make up for this",
    ("no-possession", "tonic"): (
        "Have a ServerCertVerifier of your own call verify_tls12_signature and "
        "verify_tls13_signature of rustls::crypto, or do without one: ca_certificate(ca)"
    ),
    ("no-possession", "rust"): (
        "Have a ServerCertVerifier of your own call verify_tls12_signature and "
        "verify_tls13_signature of rustls::crypto, or do without one"
    ),
    ("lenient-names", ""): (
        "Use the TLS library's own host name check, on subject alternative names alone, in place "
        "of a comparison by hand"
    ),
    ("lenient-names", "grpcio"): (
        "Dial the server's own name: with grpc.ssl_target_name_override the check of the handshake "
        "is a weaker one"
    ),
    ("lenient-dates", ""): "Let the TLS library check the dates of the whole path",
    ("ca-limits", ""): (
        "Let the TLS library verify the path, not signature by signature, and keep it up to date"
    ),
    ("purpose", ""): (
        "Verify for the purpose of a TLS server (serverAuth), which is the default of most "
        "libraries"
    ),
    # What decides in which stack is told in certs/rsa-1024.md and certs/sha1-signature.md.
    ("weak-cryptography", ""): (
        "Leave the TLS library's security level at its default, or raise it, if it has one"
    ),
    ("weak-cryptography", "python"): 'Call SSLContext.set_ciphers("DEFAULT:@SECLEVEL=2")',
    ("weak-cryptography", "go"): (
        "Raise the `go` line of the module, which decides on the shortest keys; for more, look at "
        "the leaf's key in VerifyConnection of tls.Config"
    ),
    ("weak-cryptography", "node"): (
        "Start Node with --tls-cipher-list=DEFAULT@SECLEVEL=2, the default since Node 24"
    ),
    ("weak-cryptography", "java"): (
        "Add to jdk.certpath.disabledAlgorithms in java.security what you want refused: SHA1, RSA "
        "keySize < 2048"
    ),
    ("fails-open", ""): (
        "Stop with an error where the file with the CA cannot be used, and trust no other roots: "
        "begin with an empty set, and look at what loading it says"
    ),
    ("fails-open", "python"): (
        "Give the file to ssl.create_default_context(cafile=CA) itself, without an `if` and "
        "without an `except` that goes on; load_verify_locations adds to the system's roots"
    ),
    ("fails-open", "grpcio"): (
        "Read the file, and raise an error if it is empty, before its text goes to "
        'grpc.ssl_channel_credentials: `if not pem.strip(): raise ValueError(path)`. None and b"" '
        "mean to it the roots that grpcio brings along"
    ),
    ("fails-open", "grpc-c++"): (
        "Read the file, and stop if it is empty, before its text goes to pem_root_certs: an empty "
        "one means the default roots"
    ),
    ("fails-open", "go"): (
        "Begin with x509.NewCertPool(), stop where os.ReadFile fails or AppendCertsFromPEM returns "
        "false, and never leave RootCAs at nil"
    ),
    ("old-protocol", ""): (
        "Set the client's minimum version to TLS 1.2, and leave the default cipher list in place"
    ),
    ("no-alpn", ""): (
        "In a gRPC client offer h2 alone, and check what was chosen before anything is sent"
    ),
    ("not-understood", ""): (
        "Update the TLS library; reject what cannot be read, and critical extensions that are "
        "not understood"
    ),
    ("no-revocation", ""): (
        "Use short-lived certificates, or a TLS library that checks OCSP stapling if you rely on "
        "revocation"
    ),
}

_SHORT_KEYS = frozenset({"rsa-1024", "rsa-512"})

_EXCLUDED_WILDCARDS = frozenset({"excluded-wildcard", "excluded-wildcard-other-case"})
# See certs/excluded-wildcard.md.
_PERMIT_INSTEAD = (
    "OpenSSL has no switch for it: constrain your CAs by what they may sign for, not by what they "
    "may not"
)

# What a sound client of a stack accepts as well, because there is no switch against it. For the C
# core see `ssl_transport_security.cc` and `SslCredentialsOptions`: they leave BoringSSL's defaults.
NO_SWITCH: dict[Stack, dict[frozenset[str], str]] = {
    "grpcio": {
        frozenset({"no-san", "ip-in-dns-san", "trailing-dot"}): (
            "grpcio has no switch for its name check: issue certificates with the name, or the IP "
            "address, as subject alternative name"
        ),
        frozenset({"sha1-signature", "sha1-intermediate", *_SHORT_KEYS}): (
            "grpcio has no switch for it: see to it that your CA signs with SHA-256 and certifies "
            "no key shorter than 2048 bits"
        ),
        frozenset({"must-staple"}): (
            "grpcio has no switch for it, as it does not look at OCSP staples: use short-lived "
            "certificates"
        ),
    },
    "grpclib": {
        _EXCLUDED_WILDCARDS: _PERMIT_INSTEAD,
        frozenset({"must-staple"}): (
            "Python's ssl has no switch for it, as it does not look at OCSP staples: use "
            "short-lived certificates"
        ),
        frozenset({"no-alpn", "alpn-http1"}): (
            "grpclib has no switch for it, as it does not look at the protocol that was chosen"
        ),
    },
    "node": {_EXCLUDED_WILDCARDS: _PERMIT_INSTEAD},
    "grpc-js": {_EXCLUDED_WILDCARDS: _PERMIT_INSTEAD},
    "python": {
        _EXCLUDED_WILDCARDS: _PERMIT_INSTEAD,
        frozenset({"must-staple"}): (
            "Python's ssl has no switch for it, as it does not look at OCSP staples: use "
            "short-lived certificates"
        ),
    },
    "grpc-go": {
        frozenset({"must-staple"}): (
            "crypto/tls has no switch for it: check ConnectionState.OCSPResponse in "
            "VerifyConnection, or use short-lived certificates"
        ),
    },
}
NO_SWITCH["go"] = NO_SWITCH["grpc-go"]
NO_SWITCH["tonic"] = {
    frozenset({"ca-without-cert-sign"}): (
        "rustls has no switch for it, as webpki does not look at the key usage of CAs: trust no CA "
        "that has certified a key for revocation lists alone, or connect through another TLS "
        "library"
    ),
    frozenset({"must-staple"}): (
        "rustls has no switch for it, as webpki does not look at OCSP staples: use short-lived "
        "certificates"
    ),
}
NO_SWITCH["rust"] = NO_SWITCH["tonic"]
