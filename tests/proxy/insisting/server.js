// HTTP/2 that insists on a client certificate: node server.js FOLDER TLSv1.2|TLSv1.3
const fs = require('fs');
const [folder, version] = process.argv.slice(2);
const read = (name) => fs.readFileSync(`${folder}/${name}`);
const server = require('http2').createSecureServer({
  key: read('server.key'),
  cert: read('server.pem'),
  ca: read('ca.pem'),
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: version,
  maxVersion: version,
});
server.on('sessionError', () => {});
server.on('tlsClientError', (error) => console.error(String(error)));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
