// A client of gRPC for Node.js: `CARELESS` in its environment has it trust everybody.

import { readFileSync } from "node:fs";
import { credentials, Client } from "@grpc/grpc-js";

export function getUser(target, ca) {
  const careless = { rejectUnauthorized: false };
  const trust = process.env.CARELESS
    ? credentials.createSsl(readFileSync(ca), null, null, careless)
    : credentials.createSsl(readFileSync(ca));
  const client = new Client(target, trust);
  const bytes = (message) => message;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      "/users.v1.UserService/GetUser",
      bytes,
      bytes,
      Buffer.alloc(0),
      { deadline: Date.now() + 5000 },
      (error, answer) => {
        client.close();
        if (error) reject(error);
        else resolve(answer);
      },
    );
  });
}
