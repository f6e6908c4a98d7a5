/**
 * Hocuspocus as its users run it: the database extension, which stores a document some seconds after an edit (its
 * default), here into a file, and with REDIS_URL the Redis extension.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Database } from '@hocuspocus/extension-database';
import { Redis } from '@hocuspocus/extension-redis';
import { Server } from '@hocuspocus/server';

const { STORE, REDIS_URL } = process.env;
const fileOf = (name) => join(STORE, name);

const extensions = [
  new Database({
    fetch: ({ documentName }) => readFile(fileOf(documentName)).catch(() => null),
    store: ({ documentName, state }) => writeFile(fileOf(documentName), state),
  }),
];
if (REDIS_URL !== undefined) {
  const { hostname, port } = new URL(REDIS_URL);
  extensions.push(new Redis({ host: hostname, port: Number(port) }));
}

const server = new Server({ address: '127.0.0.1', port: 0, quiet: true, extensions });
await server.listen();
console.log(`http://127.0.0.1:${server.address.port}`);
