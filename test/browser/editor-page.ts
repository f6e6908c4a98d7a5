/** The page of the browser tests: one CodeMirror on one document, by our provider or by a stock y-websocket one. */
import { EditorState } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { yCollab } from 'y-codemirror.next';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { connect } from '../../src/client/index.ts';
import { SocketIOProvider } from '../../src/client/yjs.ts';

export interface EditorOptions {
  url: string;
  fileId: string;
  token: string;
  name: string;
  color: string;
  /** By `/yjs` and y-websocket's own provider, as published. */
  stock: boolean;
}

/** What a test reaches in the page. */
export interface EditorPage {
  open(options: EditorOptions): void;
  text(): string;
  /** What others' cursors say, in the order of the text. */
  cursors(): string[];
  synced(): boolean;
  unsavedChanges(): number;
  statuses: string[];
  disconnect(): void;
  connect(): void;
}

const page = globalThis as unknown as {
  document: {
    getElementById(id: string): never;
    querySelectorAll(selector: string): Iterable<{ textContent: string }>;
  };
  editor: EditorPage;
  view: EditorView;
};

/** What both providers have. */
interface Provider {
  readonly synced: boolean;
  /** Ours only. */
  readonly unsavedChanges?: number;
  readonly awareness: { setLocalStateField(field: string, value: unknown): void };
  on(name: 'status', listener: (event: { status: string }) => void): unknown;
  connect(): void;
  disconnect(): void;
}

const statuses: string[] = [];
const doc = new Y.Doc();
const text = doc.getText('content');
let provider: Provider;

page.editor = {
  statuses,
  open({ url, fileId, token, name, color, stock }) {
    const made: unknown = stock
      ? new WebsocketProvider(`${url.replace('http', 'ws')}/yjs`, fileId, doc, { params: { token }, disableBc: true })
      : new SocketIOProvider(connect({ url, token }), fileId, doc);
    provider = made as Provider;
    provider.on('status', ({ status }) => statuses.push(status));
    provider.awareness.setLocalStateField('user', { name, color, colorLight: `${color}33` });
    page.view = new EditorView({
      state: EditorState.create({
        doc: text.toJSON(),
        extensions: [EditorView.lineWrapping, yCollab(text, provider.awareness)],
      }),
      parent: page.document.getElementById('editor'),
    });
  },
  text: () => text.toJSON(),
  cursors: () => Array.from(page.document.querySelectorAll('.cm-ySelectionInfo'), ({ textContent }) => textContent),
  synced: () => provider.synced,
  unsavedChanges: () => provider.unsavedChanges ?? 0,
  disconnect: () => provider.disconnect(),
  connect: () => provider.connect(),
};
