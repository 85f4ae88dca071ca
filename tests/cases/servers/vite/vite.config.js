import { readFileSync } from 'node:fs';
import react from '@vitejs/plugin-react';

const version = readFileSync('version.txt', 'utf8').split('"')[1];
const answer = {
  name: 'version',
  configureServer(server) {
    server.middlewares.use('/version', (request, response) => response.end(version));
  },
};
// `node_modules` is a link to packages outside of the project.
export default { plugins: [react(), answer], cacheDir: 'data/vite', server: { fs: { strict: false } } };
