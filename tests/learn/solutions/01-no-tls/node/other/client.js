// Asks the server for a user.
//
// Run as: client.js HOST:PORT CA_FILE

import { readFileSync } from 'node:fs';

import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const TOKEN = 'opens-nothing-5ec4e701';

function credentials(caFile) {
  const bearer = grpc.credentials.createFromMetadataGenerator((_, callback) => {
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${TOKEN}`);
    callback(null, metadata);
  });
  const tls = grpc.credentials.createSsl(readFileSync(caFile));
  return grpc.credentials.combineChannelCredentials(tls, bearer);
}

const definition = loadSync('users/v1/users.proto', { includeDirs: [process.env.MITM_PROTO] });
const { UserService } = grpc.loadPackageDefinition(definition).users.v1;

function getUser(target, caFile) {
  const client = new UserService(target, credentials(caFile));
  return new Promise((resolve, reject) => {
    client.getUser({ id: 1 }, { deadline: Date.now() + 5000 }, (error, user) => {
      client.close();
      error ? reject(error) : resolve(user);
    });
  });
}

const [target, caFile] = process.argv.slice(2);
try {
  const user = await getUser(target, caFile);
  console.log(`${user.name} <${user.email}>`);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
