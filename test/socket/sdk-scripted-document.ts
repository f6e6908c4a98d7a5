/** A document behind the scripted server, and providers of it. */
import { onTestFinished } from 'vitest';
import { applyAwarenessUpdate, Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { SocketIOProvider, type SocketIOProviderOptions } from '../../src/client/yjs.ts';
import { newId, type ScriptedServer } from './sdk-scripted-server.ts';
import { startClient, startServer } from './sdk-setup.ts';

export interface Scripted {
  server: ScriptedServer;
  fileId: string;
  /** What the server holds. */
  theirs: Y.Doc;
  access: 'write' | 'read';
  /** Updates that came without what they build on. */
  gaps: number;
}

export const textOf = (doc: Y.Doc): Y.Text => doc.getText('content');

/** A server with one document. */
export async function scripted(text = ''): Promise<Scripted> {
  const server = await startServer();
  const fileId = newId();
  const theirs = new Y.Doc();
  textOf(theirs).insert(0, text);
  const awareness = new Awareness(theirs);
  awareness.setLocalState(null);
  onTestFinished(() => theirs.destroy());
  const world: Scripted = { server, fileId, theirs, access: 'write', gaps: 0 };
  server.handlers['doc:open'] = ({ stateVector }) => ({
    docId: fileId,
    updates: [Y.encodeStateAsUpdate(theirs, stateVector as Uint8Array | undefined)],
    stateVector: Y.encodeStateVector(theirs),
    access: world.access,
  });
  server.handlers['doc:update'] = ({ update }) => {
    Y.applyUpdate(theirs, update as Uint8Array);
    if (theirs.store.pendingStructs || theirs.store.pendingDs) world.gaps++;
    server.emit('doc:updated', { docId: fileId, update });
    return { savedAt: new Date().toISOString() };
  };
  server.handlers['doc:awareness'] = ({ update }) => {
    applyAwarenessUpdate(awareness, update as Uint8Array, 'client');
    server.emit('doc:awareness-changed', { docId: fileId, update });
    return {};
  };
  server.handlers['doc:close'] = () => ({});
  return world;
}

/** A provider with a client of its own, or the one given. */
export function open(
  { server, fileId }: Scripted,
  { client = startClient(server), doc = new Y.Doc(), ...options }: Partial<Parts> & SocketIOProviderOptions = {},
): Opened {
  const provider = new SocketIOProvider(client, fileId, doc, {
    ...options,
    timings: { holeMs: 20, retryMs: 5, retryMaxMs: 20, ...options.timings },
  });
  onTestFinished(() => {
    provider.destroy();
    doc.destroy();
  });
  const errors: string[] = [];
  provider.on('connection-error', (error) => errors.push(error.code));
  return { provider, doc, text: textOf(doc), errors, client };
}

export interface Parts {
  client: ReturnType<typeof startClient>;
  doc: Y.Doc;
}

export interface Opened extends Parts {
  provider: SocketIOProvider;
  text: Y.Text;
  errors: string[];
}
