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
  const credentials = grpc.credentials.createSsl(readFileSync(caFile));
  try {
    return await getUser(target, credentials);
  } catch (error) {
    if (error.code !== grpc.status.UNAVAILABLE) throw error;
    return await getUser(target, credentials);
  }
}

try {
  const user = await run(...process.argv.slice(2));
  console.log(`${user.name} <${user.email}>`);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
