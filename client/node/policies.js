import { createHash, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { connect, createSecureContext } from 'node:tls';

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
};

/** The options are no good: what is wrong with them. */
export class UsageError extends Error {}

/** What this version of Node cannot do. */
export class UnsupportedError extends Error {}

/** No encryption: everybody on the way reads along. */
function insecure() {
  return ChannelCredentials.createInsecure();
}

/** Encryption with whoever answers: neither issuer, nor name, nor dates are looked at. */
function skipVerify() {
  return ChannelCredentials.createSsl(null, null, null, {
    rejectUnauthorized: false,
  });
}

/** Verification, with nothing said about trust: the public roots shipped inside Node. */
function noCa() {
  return ChannelCredentials.createSsl();
}

/** Verification with a CA file: trust what this CA has signed, and nothing else. */
function caFile({ ca }) {
  return ChannelCredentials.createSsl(read('--ca', ca));
}

/** Verification with the machine's own roots, which Node does not use by itself. */
function systemRoots() {
  const store = process.env.SSL_CERT_FILE ?? bundles.find(existsSync);
  return ChannelCredentials.createSsl(read('SSL_CERT_FILE', store));
}

/** Verification with the server's own certificate: trust this server, and nobody else. */
function pinned({ pin }) {
  return ChannelCredentials.createFromSecureContext(onlyRoot(read('--pin', pin)));
}

/** Half right: the chain is verified, but not for whom it is. Any server of that CA will do. */
function skipHostname({ ca }) {
  return ChannelCredentials.createSsl(read('--ca', ca), null, null, {
    checkServerIdentity: () => undefined,
  });
}

/**
 * The server's key is pinned, whatever certificate it stands in. `checkServerIdentity` is no place
 * for that: it is asked only of a chain that was verified already, and, with
 * `rejectUnauthorized: false`, asked for nothing. So the certificate is fetched first, its key
 * compared, and then this certificate is the only one that the channel trusts.
 */
async function pinnedKey({ target, serverName, pin, timeout }) {
  const expected = keyHash(new X509Certificate(read('--pin', pin)));
  const shown = await shownBy(target, serverName, timeout);
  if (keyHash(shown) !== expected) {
    throw new Error(`the server's key has the SHA-256 ${keyHash(shown)}, pinned is ${expected}`);
  }
  return ChannelCredentials.createFromSecureContext(onlyRoot(shown.toString()), {
    checkServerIdentity: () => undefined,
  });
}

// Where distributions keep their roots: Debian, Fedora, openSUSE, Alpine.
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** To OpenSSL a leaf is no root, unless it is told that a chain may end there. */
function onlyRoot(pem) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const knows = { 20: minor >= 18, 21: false, 22: minor >= 9 }[major];
  if (!(knows ?? major > 22)) {
    throw new UnsupportedError(
      `Node ${process.versions.node} takes no leaf as a root: allowPartialTrustChain came with 20.18 and 22.9`,
    );
  }
  return createSecureContext({ ca: pem, allowPartialTrustChain: true });
}

/** The SHA-256 of a certificate's SubjectPublicKeyInfo. */
function keyHash(certificate) {
  const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex');
}

/** The certificate that the server shows. Nothing is said to it, and nothing believed. */
function shownBy(target, serverName, timeout) {
  const { hostname, port } = new URL(`tcp://${target}`);
  const host = hostname.replace(/^\[|\]$/g, '');
  const name = serverName ?? host;
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      servername: isIP(name) ? '' : name,
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
    });
    const late = setTimeout(
      () => socket.destroy(new Error('no certificate came in time')),
      timeout * 1000,
    );
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      if (certificate) resolve(certificate);
      socket.destroy();
    });
    socket.once('error', reject);
    socket.once('close', () => {
      clearTimeout(late);
      reject(new Error('the connection was closed before a certificate came'));
    });
  });
}

function read(option, path) {
  if (!path) throw new UsageError(`this policy needs ${option} FILE`);
  let pem;
  try {
    pem = readFileSync(path);
  } catch (error) {
    throw new UsageError(`${option}: cannot read ${path}: ${error.code}`);
  }
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
    throw new UsageError(`${option}: ${path} holds no PEM certificate`);
  }
  return pem;
}
