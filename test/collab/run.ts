/**
 * One seed: ten editors open a new file at the same instant; four of them, two of each kind on two nodes, edit it while
 * connections are cut, editors leave and come, a node is killed and Redis goes and comes back empty. In the end all must
 * have the same, and the server too, with everything that it ever vouched for.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type * as Y from 'yjs';
import { Ends } from '../support/ends.ts';
import { oneOf, randomOf, type Random } from '../support/random.ts';
import type { Person } from '../support/server.ts';
import { contentOf, differences, Ledger, textDifference } from './check.ts';
import { Typing } from './edits.ts';
import { startEditor, type Editor, type EditorKind } from './editors.ts';
import type { CollabStage } from './stage.ts';

export interface SeedOptions {
  seed: number;
  /** How long they edit. */
  editMs: number;
}

export interface SeedOutcome {
  seed: number;
  edits: number;
  /** How often an editor was told that everything is saved. */
  vouched: number;
  /** What happened, in order, each with its time. */
  events: string[];
  convergedAfterMs: number;
  characters: number;
  /** What was not as it must be. */
  problems: string[];
}

const OPENED_TIMEOUT_MS = 20_000;
const CONVERGED_TIMEOUT_MS = 40_000;
const AT_ONCE = 10;
const KINDS: readonly EditorKind[] = ['socket.io', 'y-websocket'];
const LOOK_MS = 50;

export async function runSeed(stage: CollabStage, { seed, editMs }: SeedOptions): Promise<SeedOutcome> {
  await using ends = new Ends();
  // Awaited, or the ends would come before the beginning.
  return await new SeedRun(stage, randomOf(seed), ends).run(seed, editMs);
}

interface Seat {
  kind: EditorKind;
  node: number;
  editor: Editor;
  typing: Typing;
}

class SeedRun {
  readonly #stage: CollabStage;
  readonly #random: Random;
  readonly #ends: Ends;
  readonly #ledger = new Ledger();
  readonly #problems: string[] = [];
  readonly #events: string[] = [];
  readonly #startedAtMs = performance.now();
  #fileId = '';
  #editors = 0;
  #edits = 0;

  constructor(stage: CollabStage, random: Random, ends: Ends) {
    this.#stage = stage;
    this.#random = random;
    this.#ends = ends;
  }

  async run(seed: number, editMs: number): Promise<SeedOutcome> {
    const initial = `file of seed ${seed}\n${'a line of it\n'.repeat(this.#random(100))}`;
    this.#fileId = await this.#stage.createFile(`seed-${seed}-${Date.now()}.txt`, initial);
    const seats = await this.#openAtOnce(initial);
    const disturbed = this.#disturb(seats, editMs);
    await this.#edit(seats, editMs);
    await disturbed;
    for (const { editor } of seats) editor.connect();
    const convergedAfterMs = await this.#converge(seats);
    await this.#compareStored(seats[0] as Seat);
    return {
      seed,
      edits: this.#edits,
      vouched: this.#ledger.count,
      events: this.#events,
      convergedAfterMs,
      characters: seats[0]?.editor.text.length ?? 0,
      problems: this.#problems,
    };
  }

  /** The first text must be there once, whoever comes first. */
  async #openAtOnce(initial: string): Promise<Seat[]> {
    const crowd = await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => this.#start(n)));
    for (const { editor } of crowd) editor.connect();
    const isOpen = await until(() => crowd.every(({ editor }) => editor.synced), OPENED_TIMEOUT_MS);
    if (!isOpen) this.#problem('not all of ten who opened it at once were synced');
    for (const { editor } of crowd) {
      const difference = textDifference(initial, contentOf(editor.doc));
      if (isOpen && difference !== undefined) this.#problem(`${editor.name} opened another text: ${difference}`);
    }
    for (const { editor } of crowd.slice(4)) this.#leave(editor);
    return crowd.slice(0, 4);
  }

  /** The `n`th: kinds by turns, and each kind on both nodes. */
  async #start(n: number): Promise<Seat> {
    const kind = KINDS[n % 2] as EditorKind;
    const node = Math.floor(n / 2) % this.#stage.cluster.nodes.length;
    const name = `${kind === 'socket.io' ? 's' : 'w'}${this.#editors++}`;
    const { people, cluster } = this.#stage;
    const cable = await cluster.cable(node);
    this.#ends.use(cable);
    const editor = await startEditor(kind, {
      name,
      person: people[n % people.length] as Person,
      cable,
      fileId: this.#fileId,
      onSaved: (doc) => this.#ledger.saved(name, doc),
    });
    this.#ends.defer(() => editor.destroy());
    return { kind, node, editor, typing: new Typing(name, this.#random) };
  }

  async #edit(seats: readonly Seat[], editMs: number): Promise<void> {
    const untilMs = performance.now() + editMs;
    while (performance.now() < untilMs) {
      const { editor, typing } = oneOf(this.#random, seats);
      for (let burst = 1 + this.#random(4); burst > 0; burst--) {
        typing.edit(editor.text);
        this.#edits++;
      }
      await pause(this.#random(12));
    }
  }

  /** Each at its seeded moment; resolves when everything is mended. */
  async #disturb(seats: Seat[], editMs: number): Promise<void> {
    const random = this.#random;
    const { nodes, redis } = this.#stage.cluster;
    const victim = random(nodes.length);
    const plan: [at: number, run: () => unknown][] = [
      [random(editMs), () => this.#killNode(victim, 50 + random(700))],
      [random(editMs), () => (redis ? this.#killRedis(200 + random(1_500)) : undefined)],
    ];
    for (let n = 2 + random(5); n > 0; n--) {
      const seat = random(seats.length);
      plan.push([random(editMs), () => this.#disturbSeat(seats, seat, random(4), 50 + random(900))]);
    }
    await Promise.all(
      plan.map(async ([atMs, run]) => {
        await pause(atMs);
        await run();
      }),
    );
  }

  async #killNode(n: number, awayMs: number): Promise<void> {
    const node = this.#stage.cluster.nodes[n];
    this.#note(`kill -9 of node ${n}`);
    await node?.kill();
    await pause(awayMs);
    await node?.restart();
    this.#note(`node ${n} is back`);
  }

  async #killRedis(awayMs: number): Promise<void> {
    const { redis } = this.#stage.cluster;
    this.#note('Redis is killed');
    await redis?.kill();
    await pause(awayMs);
    await redis?.restart();
    this.#note('Redis is back, empty');
  }

  async #disturbSeat(seats: Seat[], n: number, what: number, forMs: number): Promise<void> {
    const seat = seats[n] as Seat;
    const { editor } = seat;
    if (what < 2) {
      this.#note(`${editor.name} is cut`);
      editor.cable.cut();
    } else if (what === 2) {
      this.#note(`${editor.name} edits without a connection`);
      editor.disconnect();
      await pause(forMs);
      editor.connect();
      this.#note(`${editor.name} connects`);
    } else {
      // Started before the seat is free, so that there is somebody to edit at any time.
      const next = await this.#start(n);
      this.#note(`${editor.name} leaves for good, ${next.editor.name} comes`);
      seats[n] = { ...next, kind: seat.kind };
      next.editor.connect();
      this.#leave(editor);
    }
  }

  /** What it was told, and what it was sent, must outlast it. */
  #leave(editor: Editor): void {
    this.#ledger.seen(editor.name, editor.doc);
    editor.cable.cut();
    editor.destroy();
  }

  async #converge(seats: readonly Seat[]): Promise<number> {
    const startedAtMs = performance.now();
    // Two who come anew have only what is stored.
    const fresh = [await this.#start(0), await this.#start(3)];
    for (const { editor } of fresh) editor.connect();
    const all = [...seats, ...fresh];
    const docs = new Map<string, Y.Doc>(all.map(({ editor }) => [editor.name, editor.doc]));
    const isDone = (): boolean =>
      all.every(({ editor }) => editor.synced && editor.unsaved === 0) && differences(docs).length === 0;
    if (!(await until(isDone, CONVERGED_TIMEOUT_MS))) {
      for (const { editor } of all) {
        if (editor.closed !== undefined) this.#problem(editor.closed);
        if (!editor.synced) this.#problem(`${editor.name} is not synced`);
        if (editor.unsaved > 0) this.#problem(`${editor.name} has ${editor.unsaved} changes that were never saved`);
      }
      for (const difference of differences(docs)) this.#problem(difference);
    }
    for (const { editor } of fresh) {
      for (const missing of this.#ledger.missing(editor.doc))
        this.#problem(`${editor.name} lacks what was vouched for: ${missing}`);
    }
    return performance.now() - startedAtMs;
  }

  async #compareStored({ editor }: Seat): Promise<void> {
    for (const n of this.#stage.cluster.nodes.keys()) {
      const difference = textDifference(contentOf(editor.doc), await this.#stage.readFile(this.#fileId, n));
      if (difference !== undefined) this.#problem(`file:read of node ${n} and ${editor.name} differ: ${difference}`);
    }
  }

  #note(what: string): void {
    this.#events.push(`${Math.round(performance.now() - this.#startedAtMs)} ms: ${what}`);
  }

  #problem(what: string): void {
    this.#problems.push(what);
    this.#note(`PROBLEM: ${what}`);
  }
}

/** False when it did not come true in time. */
async function until(holds: () => boolean, timeoutMs: number): Promise<boolean> {
  const giveUpAtMs = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > giveUpAtMs) return false;
    await pause(LOOK_MS);
  }
  return true;
}
