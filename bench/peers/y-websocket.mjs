/**
 * y-websocket's server with the `ws` that it depends on. 0.1.5 has no storage of its own any more, only the hooks for
 * one: here a file for each document, read when it is opened and written when the last one has left, which is all that
 * the hooks ask for.
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setPersistence, setupWSConnection } from '@y/websocket-server/utils';

const utils = import.meta.resolve('@y/websocket-server/utils');
// Its own copies: another Yjs would not know its documents.
const require = createRequire(fileURLToPath(utils));
const WebSocket = require('ws');
const Y = await import(new URL('../node_modules/yjs/src/index.js', utils).href);

const fileOf = (name) => join(process.env.STORE, name);
setPersistence({
  provider: null,
  bindState: (name, doc) => Y.applyUpdate(doc, readFileSync(fileOf(name))),
  writeState: (name, doc) => writeFile(fileOf(name), Y.encodeStateAsUpdate(doc)),
});

const server = createServer();
const wss = new WebSocket.Server({ server });
wss.on('connection', (connection, request) => setupWSConnection(connection, request));
server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () =>
  console.log(`http://127.0.0.1:${server.address().port}`),
);
