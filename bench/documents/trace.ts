/** A document with a history: somebody typed it, key by key, over many sessions. */
import * as Y from 'yjs';
import { randomOf, type Random } from '../../test/support/random.ts';

export interface StoredState {
  /** The document with all its history. */
  state: Uint8Array;
  /** The same, as a server with a log has it: up to some keystroke, and each one after it. */
  base: Uint8Array;
  tail: readonly Uint8Array[];
}

export interface Trace extends StoredState {
  text: string;
  keystrokes: number;
}

/** Keystrokes that a log holds one by one. */
const TAIL = 100;

const WORDS =
  'const value of the next line is what it was when somebody came and wrote a function that returns nothing';

/**
 * Typing runs of words and line ends, backspaces, now and then a block cut out, and jumps: mostly nearby, at times
 * anywhere. Every keystroke is a transaction of its own; a session is a client id of its own.
 */
export function writeTrace(seed: number, keystrokes: number, sessions = 40): Trace {
  const random = randomOf(seed);
  const words = WORDS.split(' ');
  let state: Uint8Array = EMPTY;
  for (let session = 0; session < sessions; session++) {
    const doc = new Y.Doc();
    doc.clientID = 0x4000_0000 + random(0x3fff_ffff);
    Y.applyUpdate(doc, state);
    const text = doc.getText('content');
    const typing = new Typing(text, words, random);
    const until = (n: number): number => Math.floor((keystrokes * n) / sessions);
    const isLast = session === sessions - 1;
    typing.type(until(session + 1) - until(session) - (isLast ? TAIL : 0));
    const base = Y.encodeStateAsUpdate(doc);
    const tail: Uint8Array[] = [];
    if (isLast) {
      doc.on('update', (update: Uint8Array) => tail.push(update));
      typing.type(TAIL);
      const trace = { state: Y.encodeStateAsUpdate(doc), base, tail, text: text.toJSON(), keystrokes };
      doc.destroy();
      return trace;
    }
    state = base;
    doc.destroy();
  }
  throw new Error('There must be a session');
}

const EMPTY = Uint8Array.of(0, 0);

class Typing {
  readonly #text: Y.Text;
  readonly #words: readonly string[];
  readonly #random: Random;
  #left = 0;
  #cursor: number;

  constructor(text: Y.Text, words: readonly string[], random: Random) {
    this.#text = text;
    this.#words = words;
    this.#random = random;
    this.#cursor = text.length;
  }

  type(keystrokes: number): void {
    this.#left = keystrokes;
    while (this.#left > 0) {
      const what = this.#random(100);
      if (what < 55) this.#run();
      else if (what < 84) this.#backspaces(1 + this.#random(12));
      else if (what < 85) this.#cut(20 + this.#random(180));
      else this.#jump();
    }
  }

  #run(): void {
    for (let words = 1 + this.#random(5); words > 0; words--) {
      const word = this.#words[this.#random(this.#words.length)] as string;
      for (const letter of word + (this.#random(8) === 0 ? '\n' : ' ')) {
        if (this.#left-- <= 0) return;
        this.#text.insert(this.#cursor++, letter);
      }
    }
  }

  #backspaces(count: number): void {
    for (; count > 0 && this.#cursor > 0 && this.#left > 0; count--, this.#left--) this.#text.delete(--this.#cursor, 1);
  }

  #cut(size: number): void {
    const end = Math.min(this.#text.length, this.#cursor + size);
    if (end > this.#cursor) this.#text.delete(this.#cursor, end - this.#cursor);
    this.#left--;
  }

  #jump(): void {
    const { length } = this.#text;
    if (this.#random(5) === 0) this.#cursor = this.#random(length + 1);
    else this.#cursor = Math.max(0, Math.min(length, this.#cursor - 400 + this.#random(801)));
  }
}

/** A text of lines as one insertion of one client, for those who type between them. */
export function writeLines(clientId: number, lines: number, width: number): StoredState {
  const doc = new Y.Doc();
  doc.clientID = clientId;
  const line = `${'const value = before + after; '.repeat(8).slice(0, width - 1)}\n`;
  doc.getText('content').insert(0, line.repeat(lines));
  const state = Y.encodeStateAsUpdate(doc);
  doc.destroy();
  return { state, base: state, tail: [] };
}
