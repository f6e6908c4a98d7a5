/** Stock Yjs front ends, and clients of `/yjs` that say what a test wants. */
import { once } from 'node:events';
import { createDecoder, readVarString, readVarUint, readVarUint8Array } from 'lib0/decoding';
import { createEncoder, toUint8Array, writeVarUint, writeVarUint8Array } from 'lib0/encoding';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

export interface StockClient {
  doc: Y.Doc;
  text: Y.Text;
  provider: WebsocketProvider;
  /** What the text was each time that it called itself synced. */
  syncedWith: string[];
  /** Codes that its connections were closed with. */
  closes: number[];
  /** The code after which it came back no more. */
  closedFor: number[];
}

/** y-websocket's own provider, as it is. */
export function openStock(url: string, fileId: string, token: string, doc = new Y.Doc()): StockClient {
  const provider = new WebsocketProvider(`${url.replace(/^http/, 'ws')}/yjs`, fileId, doc, {
    params: { token },
    WebSocketPolyfill: WebSocket as never,
    // Else those of one process would find each other without the server.
    disableBc: true,
    maxBackoffTime: 200,
  });
  const text = doc.getText('content');
  const client: StockClient = { doc, text, provider, syncedWith: [], closes: [], closedFor: [] };
  provider.on('sync', (synced: boolean) => {
    if (synced) client.syncedWith.push(text.toJSON());
  });
  provider.on('connection-close', (event) => client.closes.push(event?.code ?? 0));
  provider.on('closed', ({ code }) => client.closedFor.push(code));
  onTestFinished(() => {
    provider.destroy();
    doc.destroy();
  });
  return client;
}

/** Resolves when it is synced. */
export async function synced(client: StockClient): Promise<StockClient> {
  if (!client.provider.synced) await new Promise((resolve) => client.provider.once('sync', resolve));
  return client;
}

export type HeardMessage =
  | { kind: 'step1' | 'step2' | 'update' | 'awareness'; bytes: Uint8Array }
  | { kind: 'denied'; reason: string };

export interface PlainClient {
  ws: WebSocket;
  heard: HeardMessage[];
  /** The code that it was closed with. */
  closed: Promise<number>;
  send(kind: 'step1' | 'step2' | 'update' | 'awareness' | 'query', bytes?: Uint8Array): void;
}

const SYNC_KINDS = ['step1', 'step2', 'update'] as const;

/** A WebSocket that speaks the protocol word for word. Resolves when the connection is open. */
export async function openPlain(url: string, path: string, headers: Record<string, string> = {}): Promise<PlainClient> {
  const ws = new WebSocket(`${url.replace(/^http/, 'ws')}${path}`, { headers });
  onTestFinished(() => ws.terminate());
  const heard: HeardMessage[] = [];
  ws.on('message', (data: Buffer) => heard.push(readHeard(data)));
  const closed = new Promise<number>((resolve) => {
    ws.on('close', (code) => resolve(code));
  });
  await once(ws, 'open');
  return {
    ws,
    heard,
    closed,
    send(kind, bytes = new Uint8Array()) {
      const encoder = createEncoder();
      if (kind === 'awareness') writeVarUint(encoder, 1);
      else if (kind === 'query') writeVarUint(encoder, 3);
      else {
        writeVarUint(encoder, 0);
        writeVarUint(encoder, SYNC_KINDS.indexOf(kind));
      }
      if (kind !== 'query') writeVarUint8Array(encoder, bytes);
      ws.send(toUint8Array(encoder));
    },
  };
}

function readHeard(data: Uint8Array): HeardMessage {
  const decoder = createDecoder(data);
  switch (readVarUint(decoder)) {
    case 0:
      return { kind: SYNC_KINDS[readVarUint(decoder)] ?? 'update', bytes: readVarUint8Array(decoder) };
    case 1:
      return { kind: 'awareness', bytes: readVarUint8Array(decoder) };
    default:
      readVarUint(decoder);
      return { kind: 'denied', reason: readVarString(decoder) };
  }
}
