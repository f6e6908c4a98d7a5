/** Somebody who edits a file: with our provider over Socket.IO, or with the stock y-websocket provider over `/yjs`. */
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { connect } from '../../src/client/index.ts';
import { SocketIOProvider } from '../../src/client/yjs.ts';
import type { Person } from '../support/server.ts';
import type { TcpCutter } from '../support/tcp-cutter.ts';

export type EditorKind = 'socket.io' | 'y-websocket';

export interface Editor {
  readonly name: string;
  readonly kind: EditorKind;
  readonly doc: Y.Doc;
  readonly text: Y.Text;
  readonly cable: TcpCutter;
  readonly synced: boolean;
  /** Changes that the server has not acknowledged; a stock provider cannot know. */
  readonly unsaved: number;
  /** The server will have nothing to do with it any more. */
  readonly closed: string | undefined;
  connect(): void;
  disconnect(): void;
  destroy(): void;
}

export interface EditorOptions {
  name: string;
  person: Person;
  cable: TcpCutter;
  fileId: string;
  /** Everything in the document has been acknowledged. */
  onSaved: (doc: Y.Doc) => void;
}

/** Waits of tests: whoever waits long between two tries only makes the fuzz slow. */
const BACK_OFF_MS = 500;

/** Ready to open the file: `connect` does it. */
export async function startEditor(kind: EditorKind, options: EditorOptions): Promise<Editor> {
  return kind === 'socket.io' ? startSocketIo(options) : startYWebsocket(options);
}

async function startSocketIo({ name, person, cable, fileId, onSaved }: EditorOptions): Promise<Editor> {
  const client = connect({
    url: `http://127.0.0.1:${cable.port}`,
    token: person.accessToken,
    timings: { retryMaxMs: BACK_OFF_MS },
  });
  await client.ready();
  const doc = new Y.Doc();
  const provider = new SocketIOProvider(client, fileId, doc, { connect: false, timings: { retryMaxMs: BACK_OFF_MS } });
  let closed: string | undefined;
  provider.on('closed', ({ code, reason }) => {
    closed = `${name} was closed with ${code}: ${reason}`;
  });
  provider.on('unsaved-changes', (count) => {
    if (count === 0) onSaved(doc);
  });
  return {
    name,
    kind: 'socket.io',
    doc,
    text: doc.getText('content'),
    cable,
    get synced() {
      return provider.synced;
    },
    get unsaved() {
      return provider.unsavedChanges;
    },
    get closed() {
      return closed;
    },
    connect: () => provider.connect(),
    disconnect: () => provider.disconnect(),
    destroy() {
      provider.destroy();
      client.close();
      // Its awareness has a timer, which ends with it.
      doc.destroy();
    },
  };
}

function startYWebsocket({ name, person, cable, fileId }: EditorOptions): Editor {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`ws://127.0.0.1:${cable.port}/yjs`, fileId, doc, {
    connect: false,
    params: { token: person.accessToken },
    WebSocketPolyfill: WebSocket as unknown as typeof globalThis.WebSocket,
    disableBc: true,
    maxBackoffTime: BACK_OFF_MS,
  });
  let closed: string | undefined;
  provider.on('closed', ({ code, reason }) => {
    closed = `${name} was closed with ${code}: ${reason}`;
  });
  return {
    name,
    kind: 'y-websocket',
    doc,
    text: doc.getText('content'),
    cable,
    get synced() {
      return provider.synced;
    },
    unsaved: 0,
    get closed() {
      return closed;
    },
    connect: () => provider.connect(),
    disconnect: () => provider.disconnect(),
    destroy() {
      provider.destroy();
      doc.destroy();
    },
  };
}
