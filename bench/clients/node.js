// A client that verifies with Node's tls, and asks over HTTP/2: node node.js CA TARGET
const http2 = require("node:http2");
const { readFileSync } = require("node:fs");

const [ca, target] = process.argv.slice(2);
const session = http2.connect(`https://${target}`, { ca: readFileSync(ca) });
session.on("error", () => process.exit(1));
const call = session.request({
  ":method": "POST",
  ":path": "/users.v1.UserService/GetUser",
  "content-type": "application/grpc",
  te: "trailers",
});
call.on("error", () => process.exit(1));
call.on("end", () => session.close());
call.resume();
call.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
