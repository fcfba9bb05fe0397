import { existsSync, readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

import { ChannelCredentials } from '@grpc/grpc-js';

// How each policy decides whom to trust: the credentials of the channel, made of the options.
export const policies = {
  insecure,
  'skip-verify': skipVerify,
  'no-ca': noCa,
  'ca-file': caFile,
  'system-roots': systemRoots,
  pinned,
  'skip-hostname': skipHostname,
  'pinned-key': pinnedKey,
  'mutual-tls': mutualTls,
};

/** The options are no good: what is wrong with them. */
export class UsageError extends Error {}

/** Node or grpc-js cannot do what a policy says, and why. */
export class UnsupportedError extends Error {}

/** No encryption: everybody on the way reads along. */
function insecure() {
  return ChannelCredentials.createInsecure();
}

/** Encryption with whoever answers: neither issuer, nor name, nor dates are looked at. */
function skipVerify(options) {
  return ChannelCredentials.createSsl(null, ...presented(options), {
    rejectUnauthorized: false,
  });
}

/** Verification, with nothing said about trust: the public roots shipped inside Node. */
function noCa(options) {
  return ChannelCredentials.createSsl(null, ...presented(options));
}

/** Verification with a CA file: trust what this CA has signed, and nothing else. */
function caFile(options) {
  return ChannelCredentials.createSsl(read('--ca', options.ca), ...presented(options));
}

/** Verification with the machine's own roots, which Node does not use by itself. */
function systemRoots(options) {
  const store = process.env.SSL_CERT_FILE || bundles.find(existsSync);
  return ChannelCredentials.createSsl(read('SSL_CERT_FILE', store), ...presented(options));
}

/** Verification with the server's own certificates: trust this server, and nobody else. */
function pinned(options) {
  const [key, cert] = presented(options);
  return ChannelCredentials.createFromSecureContext(
    onlyRoots(read('--pin', options.pin), key, cert),
  );
}

/** Half right: the chain is verified, but not for whom it is. Any server of that CA will do. */
function skipHostname(options) {
  return ChannelCredentials.createSsl(read('--ca', options.ca), ...presented(options), {
    checkServerIdentity: () => undefined,
  });
}

/**
 * The server's key is pinned, whatever certificate it stands in. A `checkServerIdentity` that
 * compares keys is no way to do that: it is asked only about a chain that was found good, and with
 * `rejectUnauthorized: false` its answer counts for nothing.
 */
function pinnedKey() {
  throw new UnsupportedError(
    'grpc-js asks checkServerIdentity only about a chain that it has verified, so that a key alone cannot be pinned; pin the certificate',
  );
}

/** Verification both ways: the server must be the CA's, and sees who this client is. */
function mutualTls(options) {
  if (!options.cert) throw new UsageError('this policy needs --cert FILE and --key FILE');
  return caFile(options);
}

/** What is shown to a server that asks, whomever the client trusts: key and chain, or neither. */
function presented({ cert, key }) {
  return cert ? [read('--key', key, 'PRIVATE KEY'), read('--cert', cert)] : [null, null];
}

// Where distributions keep their roots: Debian, Fedora, openSUSE, Alpine.
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** To OpenSSL a leaf is no root, unless it is told that a chain may end there. */
function onlyRoots(pem, key, cert) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const knows = { 20: minor >= 18, 21: false, 22: minor >= 9 }[major];
  if (!(knows ?? major > 22)) {
    throw new UnsupportedError(
      `Node ${process.versions.node} takes no leaf as a root: allowPartialTrustChain came with 20.18 and 22.9`,
    );
  }
  return createSecureContext({ ca: pem, key, cert, allowPartialTrustChain: true });
}

function read(option, path, what = 'CERTIFICATE') {
  if (!path) throw new UsageError(`this policy needs ${option} FILE`);
  let pem;
  try {
    pem = readFileSync(path);
  } catch (error) {
    throw new UsageError(`${option}: cannot read ${path}: ${error.code}`);
  }
  if (!new RegExp(`-----BEGIN .*${what}-----`).test(pem)) {
    throw new UsageError(`${option}: ${path} holds no PEM ${what.toLowerCase()}`);
  }
  return pem;
}
