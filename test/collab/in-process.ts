/**
 * Thousands of edits in seconds: several nodes' documents feature in this process, on one database, with a bus that
 * loses what it is told at seeded moments. Editors come and go, and are refused like any other.
 */
import { setImmediate as turn } from 'node:timers/promises';
import * as Y from 'yjs';
import type { Peer } from '../../src/features/documents/documents.ts';
import { newId, type DocumentNode, type DocumentWorld } from '../support/documents.ts';
import { oneOf, randomOf, type Random } from '../support/random.ts';
import { contentOf, differences, Ledger, textDifference } from './check.ts';
import { Typing } from './edits.ts';

export interface InProcessOutcome {
  edits: number;
  /** How often an editor was told that everything is saved. */
  saved: number;
  /** Updates that the log got. */
  rows: number;
  /** Updates that were refused and sent again after opening anew, by code. */
  refused: Record<string, number>;
  problems: string[];
}

const EDITORS = 6;
const OPEN_TRIES = 20;
const SAVED_WAIT_MS = 50;

/** What all editors of a run have in common. */
interface Shared extends Pick<InProcessOutcome, 'refused' | 'problems'> {
  random: Random;
  ledger: Ledger;
}

/** An editor as our provider is one: one update under way, everything else waits; after a refusal it opens again. */
class MemoryEditor {
  readonly name: string;
  readonly userId: string;
  readonly doc = new Y.Doc();
  readonly typing: Typing;
  readonly refused: Record<string, number>;
  readonly #ledger: Ledger;
  readonly #problems: string[];
  #node: DocumentNode;
  #peer: Peer | undefined;
  #fileId: string;
  #waiting = false;
  #sending: Promise<void> | undefined;

  constructor(
    name: string,
    node: DocumentNode,
    fileId: string,
    userId: string,
    { random, ledger, refused, problems }: Shared,
  ) {
    this.name = name;
    this.#node = node;
    this.#fileId = fileId;
    this.userId = userId;
    this.typing = new Typing(name, random);
    this.#ledger = ledger;
    this.#problems = problems;
    this.refused = refused;
    this.doc.on('update', (_update: Uint8Array, origin: unknown) => {
      if (origin !== this) this.#changed();
    });
  }

  get text(): Y.Text {
    return this.doc.getText('content');
  }

  /** Its updates are answered one after the other; what was typed meanwhile follows. */
  #changed(): void {
    this.#waiting = true;
    this.#sending ??= this.#send()
      .catch((error: unknown) => {
        this.#waiting = false;
        this.#problems.push(`${this.name} could not save: ${String(error)}`);
      })
      .finally(() => {
        this.#sending = undefined;
        if (this.#waiting && this.#peer) this.#changed();
      });
  }

  /** Opens with what it has, on another node if given, and sends what the server lacks. */
  async open(node = this.#node): Promise<void> {
    this.leave();
    this.#node = node;
    const peer = await node.documents.openPeer({
      fileId: this.#fileId,
      userId: this.userId,
      ...(Y.encodeStateVector(this.doc).length > 1 ? { stateVector: Y.encodeStateVector(this.doc) } : {}),
      onUpdate: (update) => {
        if (this.#peer === peer || this.#peer === undefined) Y.applyUpdate(this.doc, update, this);
      },
      onAccess: () => {},
    });
    Y.transact(this.doc, () => peer.updates.forEach((update) => Y.applyUpdate(this.doc, update, this)), this, false);
    this.#peer = peer;
    this.#changed();
  }

  leave(): void {
    this.#peer?.close();
    this.#peer = undefined;
  }

  /** Resolves when everything that was typed is saved. */
  async settled(): Promise<void> {
    for (let tries = 0; this.#sending || this.#waiting; tries++) {
      if (tries > 1_000) throw new Error(`${this.name} cannot save`);
      if (!this.#peer) await this.open();
      await this.#sending;
      await turn();
    }
  }

  async #send(): Promise<void> {
    await turn();
    for (let tries = 0; this.#waiting && this.#peer; tries++) {
      const peer = this.#peer;
      this.#waiting = false;
      // What the server had when this was opened, and what was sent since, is left out as far as it costs nothing.
      const update = Y.encodeStateAsUpdate(this.doc, peer.stateVector);
      const sent = Y.snapshot(this.doc);
      try {
        await peer.update(update);
        this.#ledger.savedAs(this.name, sent);
      } catch (error) {
        const code = String((error as { code?: string }).code ?? error);
        this.refused[code] = (this.refused[code] ?? 0) + 1;
        this.#waiting = true;
        if (tries > OPEN_TRIES) throw error;
        if (this.#peer === peer) await this.open();
      }
    }
  }
}

/** Nobody may have anything to save. */
async function nextSaved(ledger: Ledger): Promise<void> {
  const giveUpAtMs = performance.now() + SAVED_WAIT_MS;
  for (const before = ledger.count; ledger.count === before && performance.now() < giveUpAtMs;) await turn();
}

export async function runInProcess(world: DocumentWorld, seed: number, edits: number): Promise<InProcessOutcome> {
  const random = randomOf(seed);
  const { nodes, network } = world;
  const fileId = newId();
  const ledger = new Ledger();
  const problems: string[] = [];
  const refused: Record<string, number> = {};
  const initial = `seed ${seed}\n`;
  // All of them at once, and each of them repeats it.
  await Promise.all(nodes.map((node) => node.documents.create(fileId, initial, newId())));

  let count = 0;
  const start = (): MemoryEditor => {
    const node = oneOf(random, nodes);
    return new MemoryEditor(`e${count++}`, node, fileId, newId(), { random, ledger, refused, problems });
  };
  const editors = Array.from({ length: EDITORS }, start);
  await Promise.all(editors.map((editor) => editor.open()));
  for (const { name, doc } of editors) {
    const difference = textDifference(initial, contentOf(doc));
    if (difference !== undefined) problems.push(`${name} opened another text: ${difference}`);
  }

  let heal: (() => void) | undefined;
  let own = 0;
  const working: Promise<unknown>[] = [];
  for (let n = 0; n < edits; n++) {
    const seat = random(editors.length);
    const editor = editors[seat] as MemoryEditor;
    const what = random(1_000);
    if (what < 950) editor.typing.edit(editor.text);
    else if (what < 960) working.push(editor.open(oneOf(random, nodes)));
    else if (what < 970) editor.leave();
    else if (what < 975) {
      working.push(editor.settled().then(() => editor.leave()));
      const next = start();
      editors[seat] = next;
      working.push(next.open());
    } else if (what < 985) {
      const words = `server${own++} `;
      const change = (text: Y.Text): void => text.insert(Math.min(text.length, 3), words);
      working.push(oneOf(random, nodes).documents.change(fileId, editor.userId, change));
    } else if (what < 990) working.push(oneOf(random, nodes).documents.text(fileId));
    else if (heal) {
      heal();
      heal = undefined;
      // As buses say when they are back.
      working.push(...nodes.map(({ feature }) => feature.compare()));
    } else heal = network.cut();
    if (random(4) === 0) await turn();
    // Else the log would take everything in a few large rows.
    if (random(10) === 0) await nextSaved(ledger);
    if (random(300) === 0) await Promise.all(working.splice(0));
  }
  heal?.();
  await Promise.all(working);
  for (const editor of editors) await editor.open();
  for (const editor of editors) await editor.settled();
  await Promise.all(nodes.map(({ feature }) => feature.compare()));
  // Told by the bus, some turns later.
  for (let n = 0; n < 20; n++) await turn();

  const fresh = new MemoryEditor('fresh', nodes[0] as DocumentNode, fileId, newId(), {
    random,
    ledger,
    refused,
    problems,
  });
  await fresh.open();
  const stored = new Y.Doc();
  const log = await (nodes[0] as DocumentNode).updates.load(fileId);
  for (const update of log?.updates() ?? []) Y.applyUpdate(stored, update);
  problems.push(
    ...differences(
      new Map([...editors, fresh].map(({ name, doc }) => [name, doc] as const).concat([['stored', stored]])),
    ),
    ...ledger.missing(stored),
  );
  for (const [n, node] of nodes.entries()) {
    const difference = textDifference(contentOf(stored), await node.documents.text(fileId));
    if (difference !== undefined) problems.push(`the text of node ${n} is another: ${difference}`);
    problems.push(...node.bugs.splice(0).map((bug) => `node ${n}: ${String(bug)}`));
  }
  for (let n = 0; n < own; n++) {
    // Each of the server's own insertions happened once; somebody may have deleted it.
    const times = contentOf(stored).split(`server${n} `).length - 1;
    if (times > 1) problems.push(`server${n} is there ${times} times`);
  }
  for (const editor of [...editors, fresh]) editor.leave();
  const rows = await (nodes[0] as DocumentNode).updates.head(fileId);
  return { edits, saved: ledger.count, rows, refused, problems };
}
