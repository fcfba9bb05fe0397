// A gRPC client in JavaScript. How it decides whom to trust is one short function a policy:
// policies.js.
//
// Contract: ../README.md. Output is one JSON line; exit code 0, 1 if the call failed, 2 wrong usage,
// 4 if grpc-js cannot do what the policy says. With --batch it is asked, and answers, line by line.

import diagnostics from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

import { help, parse, parseLine } from './options.js';
import { policies, UnsupportedError, UsageError } from './policies.js';

// The library's own log lines are not meant for the person at the terminal.
grpc.setLogVerbosity(grpc.logVerbosity.NONE);

// The lab tells a copy of this, which stands elsewhere, where the messages are.
const proto = process.env.MITM_PROTO ?? fileURLToPath(new URL('../../proto', import.meta.url));

const exitCodes = { user: 0, error: 1, usage: 2, unsupported: 4 };

/** Make the call that the options ask for, and say what came of it. */
async function answered(options, UserService) {
  let asked;
  try {
    asked = options();
    return { user: await getUser(asked, UserService) };
  } catch (error) {
    if (error instanceof UsageError) {
      return { usage: { message: error.message } };
    }
    if (error instanceof UnsupportedError) {
      const { policy } = asked;
      return { unsupported: { policy, reason: error.message } };
    }
    // What is not from the call is from making credentials of a file that OpenSSL cannot read.
    const code = grpc.status[error.code];
    return code
      ? { error: { code, message: error.details } }
      : { usage: { message: error.message } };
  }
}

/** Ask the server for a user, with the token that identifies this client. */
async function getUser(options, UserService) {
  const deadline = Date.now() + options.timeout * 1000;
  const trust = policies[options.policy](options);
  const client = new UserService(options.target, trust, {
    // Channels to one target share their connections, unless told not to: in a batch, a call would
    // go over one that an earlier call has verified.
    'grpc.use_local_subchannel_pool': 1,
    // Or a name server is asked for the settings of a channel to localhost.
    'grpc.service_config_disable_resolution': 1,
    ...named(options.serverName),
  });
  const metadata = new grpc.Metadata();
  if (options.token) metadata.set('authorization', `Bearer ${options.token}`);
  try {
    return await new Promise((resolve, reject) => {
      client.getUser({ id: options.id }, metadata, { deadline }, (error, user) =>
        error ? reject(error) : resolve(user),
      );
    });
  } finally {
    client.close();
    await hangUp();
  }
}

const sockets = new Set();
diagnostics.subscribe('net.client.socket', ({ socket }) => {
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
});

/** End what a closed client leaves open: a connection whose handshake is not complete. */
async function hangUp() {
  await Promise.all([...sockets].map((socket) => once(socket.destroy(), 'close')));
}

/** The server must prove this name, if it is not the target's. */
function named(serverName) {
  return serverName
    ? {
        'grpc.ssl_target_name_override': serverName,
        'grpc.default_authority': serverName,
      }
    : {};
}

/** A line of output. An id has up to 64 bits, more than a number of JavaScript's. */
function line(answer) {
  if (!answer.user) return `${JSON.stringify(answer)}\n`;
  const { id, name, email } = answer.user;
  return `{"user":{"id":${id},"name":${JSON.stringify(name)},"email":${JSON.stringify(email)}}}\n`;
}

function service() {
  const definition = loadSync('users/v1/users.proto', {
    includeDirs: [proto],
    longs: String,
    defaults: true,
  });
  return grpc.loadPackageDefinition(definition).users.v1.UserService;
}

async function batch(UserService) {
  for await (const text of createInterface({ input: process.stdin })) {
    process.stdout.write(line(await answered(() => parseLine(text), UserService)));
  }
}

async function main(args) {
  const [first] = args;
  if (args.length === 1 && first === '--version') {
    const library = new URL(import.meta.resolve('@grpc/grpc-js/package.json'));
    const { version } = JSON.parse(readFileSync(library));
    console.log(`@grpc/grpc-js ${version}, Node ${process.versions.node}`);
    return 0;
  }
  if (args.length === 1 && first === '--help') {
    console.log(help);
    return 0;
  }
  let UserService;
  try {
    UserService = service();
  } catch (error) {
    console.error(`client: ${error.message}; set MITM_PROTO to the folder proto of mitm-demo`);
    return 2;
  }
  if (args.length === 1 && first === '--batch') {
    await batch(UserService);
    return 0;
  }
  const answer = await answered(() => parse(args), UserService);
  if (answer.usage) {
    console.error(`client: ${answer.usage.message}`);
  } else {
    process.stdout.write(line(answer));
  }
  return exitCodes[Object.keys(answer)[0]];
}

process.stdout.on('error', () => process.exit(1)); // nobody reads it
process.exit(await main(process.argv.slice(2)));
