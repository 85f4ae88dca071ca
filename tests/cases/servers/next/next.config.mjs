import { readFileSync } from 'node:fs';

// `node_modules` is a link to packages outside of the project.
export default {
  turbopack: { root: '/' },
  distDir: 'data/next',
  env: { VERSION: readFileSync('version.txt', 'utf8').split('"')[1] },
};
