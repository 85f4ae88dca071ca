import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import express from 'express';

const VERSION = "1";
const app = express();

app.get('/version', (request, response) => response.type('text').send(VERSION));
app.post('/chat', async (request, response) => {
  response.type('text/event-stream');
  for (let number = 1; number <= 12; number++) {
    while (number === 5 && !existsSync('data/release')) await setTimeout(10);
    response.write(`data: ${number}\n\n`);
  }
  response.end();
});
app.listen(process.env.PORT, '127.0.0.1');
