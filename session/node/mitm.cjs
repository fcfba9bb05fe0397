// Tries forged certificates on the client of your own tests, one sub-test of node:test for each.
//
// Copy this file beside the test: its name lets `import` take it as well as `require`. Let
// mitm-demo run the tests; without it they are skipped: mitm-demo audit --session -- node --test
"use strict";

const http = require("node:http");

const COMMAND = "mitm-demo audit --session -- node --test";

/**
 * One certificate, or one attack, that is presented on a port of its own.
 *
 * @property {string} name
 * @property {string} title
 * @property {string} target host:port to dial; `host` and `port` are its parts
 * @property {string} ca file of the CA to trust, PEM
 * @property {string} pin file of the genuine certificate, for a client that trusts that alone
 * @property {string} server_name the name to expect in the certificate
 * @property {"accept" | "reject"} expect what a correct client does
 * @property {"must" | "should" | "info"} severity
 */
class Case {
  constructor(told) {
    Object.assign(this, told);
  }

  /**
   * Runs the client once, and fails the test for what it should have refused. It goes by what the
   * client sent: what `call` throws, or its promise, is only quoted.
   */
  async judge(t, call) {
    let error = null;
    try {
      await call();
    } catch (thrown) {
      error = String(thrown);
    }
    const path = `/cases/${encodeURIComponent(this.name)}/judge`;
    const answer = await ask("POST", path, JSON.stringify({ error }));
    const [outcome, ...message] = answer.split("\n");
    if (outcome === "skip") t.skip(message.join("\n"));
    else if (outcome !== "ok") throw failure(message.join("\n"));
  }
}

/**
 * Returns what is presented, or skips the test and returns nothing:
 *
 *     for (const c of await mitm.cases(t)) {
 *       await t.test(c.name, (t) => c.judge(t, () => getUser(c.target, c.ca)));
 *     }
 */
async function cases(t) {
  if (!process.env.MITM_SESSION) {
    t.skip(`no certificates are presented to this test: run it by ${COMMAND}`);
    return [];
  }
  const index = JSON.parse(await ask("GET", "/cases"));
  return index.cases.map((told) => new Case(told));
}

function ask(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  if (body) headers.Accept = "text/plain";
  // An agent of its own takes no proxy of the environment: this is on the same machine.
  const options = { method, headers, agent: new http.Agent(), timeout: 60_000 };
  return new Promise((resolve, reject) => {
    const url = process.env.MITM_SESSION + path;
    const gone = (error) =>
      reject(failure(`mitm-demo does not answer (${error}): run ${COMMAND}`));
    const request = http.request(url, options, async (response) => {
      const { statusCode: status } = response;
      const parts = response.setEncoding("utf8").toArray();
      const text = (await parts.catch(gone))?.join("");
      if (status === 200) resolve(text);
      else reject(failure(`mitm-demo answers ${status}: ${text}`));
    });
    request.on("timeout", () => request.destroy(new Error("it says nothing")));
    request.on("error", gone).end(body);
  });
}

/** An error without a stack, which would say nothing of the client. */
function failure(message) {
  return Object.assign(new Error(message), { stack: message });
}

module.exports = { Case, cases };
