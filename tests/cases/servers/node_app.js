// node's own server: it uses $PORT or a descriptor, and finishes its requests at SIGTERM.
const fs = require('node:fs');
const http = require('node:http');

const VERSION = "1";
const HALF = 2 << 20;

const server = http.createServer((request, response) => {
  if (request.method === 'POST') {
    fs.appendFileSync('data/posts', request.url.slice('/post'.length) + '\n');
    response.end('done');
    return;
  }
  if (request.url !== '/hold') {
    response.end(VERSION);
    return;
  }
  response.write('a'.repeat(HALF));
  const timer = setInterval(() => {
    if (!fs.existsSync('data/release')) return;
    clearInterval(timer);
    response.end('b'.repeat(HALF));
  }, 10);
});

const fd = process.argv[2];
server.listen(fd ? { fd: Number(fd) } : { port: Number(process.env.PORT), host: '127.0.0.1' });
process.on('SIGTERM', () => server.close(() => process.exit(0)));
