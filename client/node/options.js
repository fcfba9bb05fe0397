import { parseArgs } from 'node:util';

import { policies, UsageError } from './policies.js';

const known = {
  target: { type: 'string' },
  policy: { type: 'string' },
  ca: { type: 'string' },
  pin: { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  'server-name': { type: 'string' },
  id: { type: 'string', default: '1' },
  token: { type: 'string' },
  timeout: { type: 'string', default: '5' },
};

export const help =
  'client --target HOST:PORT --policy POLICY [--ca FILE] [--pin FILE] [--cert FILE --key FILE]\n' +
  '       [--server-name NAME] [--id N] [--token T] [--timeout S] | --batch | --version\n' +
  `POLICY: ${Object.keys(policies).join(', ')}`;

const longest = 86_400; // seconds

/** Read the options of one call. */
export function parse(args) {
  let given;
  try {
    given = parseArgs({ args, options: known }).values;
  } catch (error) {
    throw new UsageError(error.message.split('\n')[0]);
  }
  const { target = '', policy = '', ca, pin, cert, key, token } = given;
  const port = /^(?:\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(target)?.[1];
  if (!(port <= 65_535)) {
    throw new UsageError(`--target: '${target}' is not HOST:PORT`);
  }
  if (!Object.hasOwn(policies, policy)) {
    throw new UsageError(`--policy: there is no policy '${policy}'`);
  }
  if (!cert !== !key) {
    throw new UsageError('--cert and --key are given together, or neither');
  }
  const timeout = Number(given.timeout.trim() || NaN);
  if (!(timeout > 0 && timeout <= longest)) {
    throw new UsageError(`--timeout: '${given.timeout}' is no number of seconds`);
  }
  const serverName = given['server-name'];
  return { target, policy, ca, pin, cert, key, serverName, token, timeout, id: id(given.id) };
}

/** Read the same options from a line of a batch: {"target": "localhost:1", "id": 3, …}. */
export function parseLine(line) {
  let given;
  try {
    given = JSON.parse(line);
  } catch {
    given = null;
  }
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    throw new UsageError('a line is one JSON object');
  }
  // JSON.parse has made it a number of 53 bits.
  const digits = /"id"\s*:\s*(-?\d+)\s*[,}]/.exec(line)?.[1];
  if (typeof given.id === 'number' && digits) given.id = digits;
  const args = Object.entries(given).map(([name, value]) => {
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw new UsageError(`${name}: neither text nor a number`);
    }
    return `--${name}=${value}`;
  });
  return parse(args);
}

/** A number of 64 bits, as text: JavaScript's own have 53. */
function id(text) {
  const number = /^-?\d+$/.test(text) ? BigInt(text) : null;
  if (number === null || BigInt.asIntN(64, number) !== number) {
    throw new UsageError(`--id: '${text}' is no number of 64 bits`);
  }
  return number.toString();
}
