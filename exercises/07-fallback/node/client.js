// Asks the server for a user.
//
// Run as: client.js HOST:PORT CA_FILE

import { readFileSync } from 'node:fs';

import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const TOKEN = 'opens-nothing-5ec4e707';

const definition = loadSync('users/v1/users.proto', { includeDirs: [process.env.MITM_PROTO] });
const { UserService } = grpc.loadPackageDefinition(definition).users.v1;

function getUser(target, credentials) {
  const client = new UserService(target, credentials);
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${TOKEN}`);
  return new Promise((resolve, reject) => {
    client.getUser({ id: 1 }, metadata, { deadline: Date.now() + 5000 }, (error, user) => {
      client.close();
      error ? reject(error) : resolve(user);
    });
  });
}

async function run(target, caFile) {
  try {
    return await getUser(target, grpc.credentials.createSsl(readFileSync(caFile)));
  } catch (error) {
    if (!/ECONNRESET|closed/.test(error.details)) throw error;
  }
  // The servers of the old data centre speak no TLS.
  return await getUser(target, grpc.credentials.createInsecure());
}

try {
  const user = await run(...process.argv.slice(2));
  console.log(`${user.name} <${user.email}>`);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
